"""Calls that a type checker refuses, each with the code of mypy's error; nothing runs them."""

import loader

loader.lode("a.csv")  # error: attr-defined
loader.load()  # error: call-arg
loader.load(5)  # error: arg-type
loader.load(source="a.csv")  # error: arg-type, call-arg
loader.load("a.csv", "a")  # error: arg-type, call-arg
loader.load("a.csv", lane=2)  # error: call-arg
loader.load("a.csv", lanes="2")  # error: arg-type
loader.load("a.csv", mode="replce")  # error: arg-type
loader.load("a.csv", via="cpy")  # error: arg-type
loader.load("a.csv", full_text="gin")  # error: arg-type
loader.load("a.csv", fts_index="all")  # error: arg-type
loader.load("a.csv", on_type_error="warn")  # error: arg-type
loader.load("a.csv", on_concurrent_writes="fail")  # error: arg-type
loader.load("a.csv", max_bad_rows=None)  # error: arg-type
loader.load("a.csv", schema="s.json")  # error: arg-type
loader.load("a.csv", key=["id", 2])  # error: list-item
loader.load("a.csv", encoding=b"utf-8")  # error: arg-type
loader.load("a.csv", rejects=5)  # error: arg-type
loader.load("a.csv", batches=5000)  # error: arg-type
loader.load("a.csv", source={"retries": 2})  # error: arg-type
loader.load("a.csv", progress=print)  # error: arg-type
loader.load("a.csv", resource_id=7)  # error: arg-type
loader.reload("a", resource_id="b")  # error: misc
loader.reload("a", dataset_id="b")  # error: call-arg
loader.reload("a", force=True)  # error: call-arg
loader.reload_all("trees")  # error: arg-type, call-arg
loader.reload_dataset("trees", force="yes")  # error: arg-type
loader.infer("a.csv", lanes=2)  # error: call-arg
loader.validate("a.csv", mode="append")  # error: call-arg
loader.Options(via="cpy")  # error: arg-type
loader.Options().lanes = 2  # error: misc
len(loader.load("a.csv").row)  # error: attr-defined
