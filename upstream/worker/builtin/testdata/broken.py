import package

raise RuntimeError("broken on purpose")
