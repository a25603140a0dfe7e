"""What AirCan's speed and memory are measured with: data, runner, chart."""
