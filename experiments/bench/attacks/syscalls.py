"""Raw system calls of every family that could do harm: each must be refused before the kernel looks at it.

Refused is what fails with EPERM whatever the arguments: a call that reaches the kernel with these fails with
something else, or succeeds. Numbers are those of x86_64.
"""

from __future__ import annotations

import platform

from experiments.bench.attacks.attack import Attack

_FAMILIES: dict[str, dict[str, int]] = {
    "processes": {
        "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "clone3": 435, "set_tid_address": 218,
    },
    "other processes": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_open": 434,
        "pidfd_getfd": 438, "pidfd_send_signal": 424, "process_madvise": 440, "process_mrelease": 448,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "wait4": 61, "waitid": 247, "setpgid": 109, "setsid": 112,
        "get_robust_list": 274, "move_pages": 279, "migrate_pages": 256,
    },
    "network": {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
        "shutdown": 48, "bind": 49, "listen": 50, "socketpair": 53, "setsockopt": 54, "accept4": 288, "sendmmsg": 307,
        "recvmmsg": 299, "getpeername": 52,
    },
    "namespaces and mounts": {
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "statmount": 457, "listmount": 458,
    },
    "files": {
        "mknod": 133, "mknodat": 259, "symlink": 88, "symlinkat": 266, "link": 86, "linkat": 265, "chmod": 90,
        "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "setxattr": 188,
        "utimensat": 280, "name_to_handle_at": 303, "open_by_handle_at": 304, "openat2": 437, "creat": 85,
        "fallocate": 285, "flock": 73, "quotactl": 179, "sync": 162, "syncfs": 306, "swapon": 167, "swapoff": 168,
        "fanotify_init": 300, "inotify_init1": 294, "copy_file_range": 326, "sendfile": 40, "splice": 275,
        "vmsplice": 278, "tee": 276, "ioctl": 16,
    },
    "memory": {
        "memfd_create": 319, "memfd_secret": 447, "userfaultfd": 323, "mlock": 149, "mlockall": 151, "mlock2": 325,
        "remap_file_pages": 216, "mbind": 237, "set_mempolicy": 238, "pkey_alloc": 330, "pkey_mprotect": 329,
        "shmget": 29, "shmat": 30, "shmctl": 31, "map_shadow_stack": 453,
    },
    "queues and semaphores": {
        "msgget": 68, "msgsnd": 69, "msgrcv": 70, "semget": 64, "semop": 65, "mq_open": 240, "mq_unlink": 241,
        "pipe2": 293, "pipe": 22, "eventfd2": 290, "signalfd4": 289, "timerfd_create": 283, "timer_create": 222,
        "epoll_create1": 291,
    },
    "kernel": {
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "io_setup": 206, "io_submit": 209,
        "bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248, "request_key": 249, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "reboot": 169,
        "syslog": 103, "acct": 163, "sysfs": 139, "lookup_dcookie": 212, "landlock_create_ruleset": 444, "seccomp": 317,
        "membarrier": 324, "rseq": 334, "lsm_set_self_attr": 460,
    },
    "privileges": {
        "setuid": 105, "setgid": 106, "setreuid": 113, "setresuid": 117, "setresgid": 119, "setgroups": 116,
        "setfsuid": 122, "capset": 126, "setrlimit": 160, "setpriority": 141, "sched_setaffinity": 203,
        "sched_setscheduler": 144, "sched_setattr": 314, "ioprio_set": 251, "prctl": 157, "arch_prctl": 158,
        "personality": 135, "modify_ldt": 154, "ioperm": 173, "iopl": 172, "vhangup": 153,
    },
    "the machine": {
        "sethostname": 170, "setdomainname": 171, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
        "clock_adjtime": 305, "sysinfo": 99,
    },
}  # fmt: skip

_CODE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(ctypes.c_long({number}), *[ctypes.c_long(0)] * 6) == -1 and ctypes.get_errno() == 1:
    raise PermissionError('refused')
"""


def raw_calls() -> tuple[Attack, ...]:
    """Returns one attack a call; none on a machine with other numbers."""
    if platform.machine() != "x86_64":
        return ()
    return tuple(
        Attack(f"raw system call: {family}", name, _CODE.replace("{number}", str(number)), "True")
        for family, calls in _FAMILIES.items()
        for name, number in calls.items()
    )
