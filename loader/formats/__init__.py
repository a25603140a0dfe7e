"""Bytes -> blocks of rows, each with its place: a folder for each format."""
