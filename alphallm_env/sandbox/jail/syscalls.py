"""The system calls that a program may make. All others are refused.

A row holds the numbers on x86_64 and on aarch64, None where a machine has no such call (Linux's
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

Row = tuple[int | None, int | None]

ALLOWED: dict[str, Row] = {
    # its own memory
    "brk": (12, 214),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "munmap": (11, 215),
    # files, as far as the other layers let it see any
    "access": (21, None),
    "chdir": (80, 49),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fchdir": (81, 50),
    "fstat": (5, 80),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "lstat": (6, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "rmdir": (84, None),
    "stat": (4, None),
    "statx": (332, 291),
    "truncate": (76, 45),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "write": (1, 64),
    "writev": (20, 66),
    # time, waiting and its own signals
    "alarm": (37, None),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "futex": (202, 98),
    "getitimer": (36, 102),
    "gettimeofday": (96, 169),
    "nanosleep": (35, 101),
    "pause": (34, None),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pselect6": (270, 72),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_yield": (24, 124),
    "select": (23, None),
    "setitimer": (38, 103),
    "sigaltstack": (131, 132),
    "time": (201, None),
    "times": (100, 153),
    # what it is
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "sched_getaffinity": (204, 123),
    "uname": (63, 160),
    # its end
    "exit": (60, 93),
    "exit_group": (231, 94),
}

# Allowed with some arguments only: `seccomp.py` says which.
CONDITIONAL: dict[str, Row] = {
    "fcntl": (72, 25),
    "kill": (62, 129),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "prlimit64": (302, 261),
    "tgkill": (234, 131),
    "tkill": (200, 130),
}
