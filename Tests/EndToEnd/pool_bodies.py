"""What `pools.py` asks for that it does not get."""

#: Bodies of `POST /v1/pools`, and the status, the code and the pointer of their refusal.
REFUSED = [
    ({"processes": 0}, 400, "invalid_request", "/processes"),
    ({"processes": -1}, 400, "invalid_request", "/processes"),
    ({"processes": 0.5}, 400, "invalid_request", "/processes"),
    ({"processes": "12"}, 400, "invalid_request", "/processes"),
    ({"processes": 13}, 400, "invalid_request", "/processes"),
    ({"maxtasksperchild": -1}, 400, "invalid_request", "/maxtasksperchild"),
    ({"maxtasksperchild": 0.5}, 400, "invalid_request", "/maxtasksperchild"),
    ({"maxtasksperchild": "12"}, 400, "invalid_request", "/maxtasksperchild"),
    ({"idle_timeout": 0}, 400, "invalid_request", "/idle_timeout"),
    ({"name": "a/b"}, 400, "invalid_request", "/name"),
    ({"name": ".."}, 400, "invalid_request", "/name"),
    ({"name": ""}, 400, "invalid_request", "/name"),
    ({"start_method": "fork"}, 400, "invalid_request", "/start_method"),
    ({"template": "python", "start_method": "spawn"}, 400, "invalid_request", "/start_method"),
    ({"initializer": "a:b"}, 422, "unknown_initializer", "/initializer"),
    ({"template": "shell", "initializer": "a:b"}, 400, "invalid_request", "/initializer"),
    ({"initargs": [1]}, 400, "invalid_request", "/initargs"),
    ({"template": "python", "initializer": 1}, 400, "invalid_request", "/initializer"),
    ({"template": "python", "initargs": [1]}, 400, "invalid_request", "/initargs"),
    ({"template": "python", "main": "a.py"}, 400, "invalid_request", "/main"),
    ({"worker": ["rm"]}, 400, "invalid_request", "/worker"),
    ({"paused": True}, 400, "invalid_request", "/paused"),
    ([], 400, "invalid_request", ""),
    ({"template": "nobody"}, 422, "unknown_pool", "/template"),
    ({"allow_pickle": True}, 422, "pickle_not_allowed", "/allow_pickle"),
    ({"template": "plain", "allow_pickle": True}, 422, "pickle_not_allowed", "/allow_pickle"),
    ({"template": "plain", "main": "/a.py"}, 422, "main_not_allowed", "/main"),
]

#: Pools whose workers cannot all be made ready: in words, what is asked for, what the answer says.
FAILURES = [
    ("an initializer that fails", {"template": "python", "initializer": "fails"},
     "OSError: no disk"),
    ("one that fails in the last worker only",
     {"template": "python", "processes": 5, "initializer": "fails", "initargs": [4]}, "no disk"),
    ("a worker that dies in its start", {"template": "python", "initializer": "dies"},
     "there is no such module"),
    ("one that never says ready",
     {"template": "plain", "processes": 3, "initializer": "hangs", "initargs": [1]},
     "not ready in time"),
    ("a program that is not there", {"template": "missing"}, "No such file"),
]
