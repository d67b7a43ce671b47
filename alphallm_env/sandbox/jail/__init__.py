"""What runs inside the sandbox's processes: standard library only, no part of the package around it.

`zygote` waits with computer algebra loaded; for each program it forks a `warden`, which forks, confines and
watches the process that runs the program. `parent` is the library's own process.
"""
