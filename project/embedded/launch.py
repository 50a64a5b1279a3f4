"""Replaces itself with a command that dies with its parent, and that may run as another user.

Run by path in an isolated interpreter, so it imports nothing of ours. It exists because the alternative, code between
fork and exec, is unsafe in a process that has threads.

    python -I -S launch.py DEATH_SIGNAL PARENT_PID UID:GID COMMAND...      (UID:GID is "-" to stay who we are)
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(death_signal: int, parent_pid: int, owner: str, command: list[str]) -> None:
    if owner != "-":
        uid, gid = (int(part) for part in owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # elsewhere a killed parent leaves its children to the next start, which ends them
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)  # after setuid, which clears it
        if os.getppid() != parent_pid:
            sys.exit(0)  # the parent died before we asked to be told
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
