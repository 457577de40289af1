"""The hostile bundle of the escape suite: one function per behaviour, run inside the sandbox.

This file is read as bytes and handed to the sandbox as a bundle's source; it is never imported by
a test. (It is also written as an attacker would, so style rules about files don't apply.)
A function returns something true when its attack worked; an exception means that it was
stopped (its errno is reported). Modules come from the preload list in test_escape.py.
"""

# mypy: ignore-errors
# ruff: noqa: PTH104, PTH108, PTH116, PTH123, PTH208, PTH211, ICN001, PERF401
import ctypes
import errno
import mmap
import os
import pickle
import signal
import socket
import stat
import struct
import sys
import termios
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
RESULT = 3
FRAME = struct.Struct("<Iqq")
# What these return is itself the attack, or a count.
PLAIN = {
    "wrong_schema",
    "wrong_shape",
    "wrong_type",
    "nan_inf_result",
    "speculative_neighbor_readmem_count",
}
ESCAPED = FRAME.pack(16, 1, 0)


def run(tables, parameters):
    """Entry: [1, 0] when the attack worked, [0, errno] when it did not."""
    attack = globals()[parameters["name"]]
    if parameters["name"] in PLAIN:
        return attack(tables, parameters)
    try:
        return [1 if attack(tables, parameters) else 0, 0]
    except OSError as problem:
        return [0, problem.errno or 0]
    except (MemoryError, RuntimeError, ImportError, ValueError):
        return [0, errno.ENOMEM]


def call(number, *arguments):
    """A raw system call; raises OSError."""
    LIBC.syscall.restype = ctypes.c_long
    # Whole registers: a 32-bit argument on the stack would bring another's upper half along.
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def did(number, *arguments):
    call(number, *arguments)
    return True


# --- network ---


def net_connect_tcp(_, p):
    with socket.socket() as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", p["tcp"]))
        client.send(b"exfil")
    return True


def net_bind_tcp(_, p):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
    return True


def net_dns(_, p):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", p["udp"]))
        client.send(b"query")
        time.sleep(0.01)  # where nobody listens, the second one hears of it
        return client.send(b"query") == 5


def net_ipv6(_, p):
    socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    return True


def net_abstract_unix(_, p):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + p["abstract"])
        client.send(b"exfil")
    return True


def net_path_unix(_, p):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(p["unix"])
        client.send(b"exfil")
    return True


def net_vsock_socket(_, p):
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    return True


def net_netlink(_, p):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
    return True


def net_afalg(_, p):
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0).close()
    return True


def net_raw_packet(_, p):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    return True


def net_socketpair(_, p):
    left, right = socket.socketpair()
    left.close()
    right.close()
    return True


# --- files of the host ---


def read_shadow(_, p):
    with open("/etc/shadow") as file:
        return file.read(10)


def read_passwd(_, p):
    with open("/etc/passwd") as file:
        return file.read(10)


def read_home_listing(_, p):
    return os.listdir("/home") is not None and os.listdir("/etc")


def read_host_secret_path(_, p):
    with open(p["secret"], "rb") as file:
        return file.read()


def stat_host_secret(_, p):
    return os.stat(p["secret"]).st_size


def read_own_interpreter(_, p):
    with open("/usr/bin/python3.11", "rb") as file:
        return file.read(4)


def read_inside_code(_, p):
    with open("/runtime/cadastre_inside/zygote.py", "rb") as file:
        return file.read(4)


def read_cpuinfo(_, p):
    with open("/proc/cpuinfo", "rb") as file:
        return file.read(4)


def openat2_path(_, p):
    how = struct.pack("<QQQ", 0, 0, 0)
    return did(437, -100, b"/dev/null", how, 24)


def write_root_and_usr(_, p):
    problem = OSError(errno.EACCES, "nothing was writable")
    for path in (
        "/x",
        "/usr/x",
        "/libraries/x",
        "/runtime/cadastre_inside/zygote.py",
        "/var/tmp/x",
    ):
        try:
            with open(path, "a") as file:
                file.write("")
        except OSError as denied:
            problem = denied
        else:
            if not path.endswith(".py"):
                os.unlink(path)
            return True
    raise problem


def write_tmp_persist(_, p):
    with open("/tmp/left", "wb") as file:
        return file.write(b"secret of the capsule before")


def write_devshm_persist(_, p):
    with open("/dev/shm/left", "wb") as file:
        file.write(b"secret")
    os.unlink("/dev/shm/left")
    return True


def disk_fill(_, p):
    with open("/tmp/fill", "wb") as file:
        for _ in range(4):
            file.write(b"x" * (1 << 20))
    os.unlink("/tmp/fill")
    return True


def inode_fill(_, p):
    for number in range(200):
        os.close(os.open(f"/tmp/inode{number}", os.O_CREAT | os.O_WRONLY))
        os.unlink(f"/tmp/inode{number}")
    return True


def symlink_in_output(_, p):
    os.symlink("/etc/shadow", "/tmp/link")
    os.unlink("/tmp/link")
    return True


def hardlink_and_rename(_, p):
    os.close(os.open("/tmp/one", os.O_CREAT | os.O_WRONLY))
    os.link("/tmp/one", "/tmp/two")
    os.rename("/tmp/two", "/tmp/three")
    os.unlink("/tmp/one")
    os.unlink("/tmp/three")
    return True


def mknod_device(_, p):
    os.mknod("/tmp/memory", stat.S_IFCHR | 0o600, os.makedev(1, 1))
    return True


def inotify_watch(_, p):
    os.close(call(294, 0))
    return True


def fanotify_watch(_, p):
    return did(300, 0, 0)


# --- earlier and other capsules ---


def state_monkeypatch_next(tables, p):
    import numpy

    def visit():
        seen = getattr(numpy, "_left_behind", None)
        numpy._left_behind = "secret"
        sys.modules["json"] = None
        return seen

    if p["together"]:
        visit()
    return visit()


def module_cache_poison(tables, p):
    def visit():
        seen = sys.modules.get("poisoned")
        sys.modules["poisoned"] = sys
        return seen

    if p["together"]:
        visit()
    return visit()


def speculative_neighbor_readmem_count(tables, p):
    """Count pages near the heap that hold a marker; the suite compares it with a fresh marker's.

    rt_sigprocmask tells mapped from unmapped: it answers EFAULT instead of dying. memmem looks in
    place, so that looking makes no copies.
    """
    page = 4096
    marker = bytes(byte ^ 0x5A for byte in bytes.fromhex(p["marker_xor"]))
    LIBC.syscall.restype = ctypes.c_long
    LIBC.memmem.restype = ctypes.c_void_p
    LIBC.memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    hits, seen = 0, set()
    anchors = [id(tables), id(object()), id(marker)]
    anchors += [array.ctypes.data for table in tables.values() for array in table.values()]
    for anchor in anchors:
        for direction in (1, -1):
            address, misses, steps = anchor // page * page, 0, 0
            while misses < 64 and steps < 4000:
                steps += 1
                if address not in seen:
                    seen.add(address)
                    answer = LIBC.syscall(14, 0, ctypes.c_void_p(address), None, 8)
                    if answer == 0 or ctypes.get_errno() != errno.EFAULT:
                        misses = 0
                        hits += LIBC.memmem(address, page, marker, len(marker)) is not None
                    else:
                        misses += 1
                address += direction * page
    return [hits, 0]


def fd_leak(_, p):
    buffer = ctypes.create_string_buffer(256)
    found = []
    for number in range(4, 256):
        if LIBC.syscall(5, number, buffer) == 0:
            found.append(number)
    return found


def control_channel_forge(_, p):
    """Answer the host in the zygote's name, through its socket."""
    call(5, 60, ctypes.create_string_buffer(256))
    os.write(RESULT, ESCAPED)
    os.write(60, struct.pack("<ciBddq", b"D", 0, 0, 0.0, 0.0, 0))
    os._exit(9)


def stdin_reopen_data_rw(_, p):
    """Write into the sealed memory that the job arrived in."""
    worked, last = False, OSError(errno.EBADF, "no descriptor")
    for number in range(4, 8):
        try:
            os.lseek(number, 0, os.SEEK_SET)
            worked = os.write(number, b"poison") == 6 or worked
        except OSError as problem:
            last = problem
    if not worked:
        raise last
    return True


def env_leak(_, p):
    return [name for name in os.environ if "SECRET" in name]


# --- resources ---


def fork_bomb(_, p):
    children = []
    try:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                time.sleep(0.05)
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.waitpid(pid, 0)
    return len(children) == 20


def thread_bomb(_, p):
    gate = threading.Event()
    threads = []
    try:
        for _ in range(20):
            thread = threading.Thread(target=gate.wait, daemon=True)
            thread.start()
            threads.append(thread)
    finally:
        gate.set()
    return len(threads) == 20


def vfork_raw(_, p):
    pid = call(57)  # fork by number, past Python and libc
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def mem_bomb_private(_, p):
    blocks = []
    for _ in range(6):
        blocks.append(b"x" * (64 << 20))
    return blocks


def mem_bomb_shared_anon(_, p):
    with mmap.mmap(-1, 400 << 20) as memory:
        for offset in range(0, len(memory), 1 << 20):
            memory[offset] = 1
    return True


def mem_bomb_memfd(_, p):
    descriptor = os.memfd_create("x")
    for _ in range(64):
        os.write(descriptor, b"x" * (1 << 20))
    os.close(descriptor)
    return True


def mem_lock(_, p):
    return did(149, ctypes.create_string_buffer(65536), 65536)  # mlock


def cpu_spin(_, p):
    while time.process_time() < 1.2:
        pass
    return True


def ignore_signals_spin(_, p):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    return cpu_spin(_, p)


def sleep_forever(_, p):
    time.sleep(0.8)
    return True


def futex_forever(_, p):
    """Wait without sleeping: FUTEX_WAIT on a word that nobody wakes."""
    word, timeout = ctypes.c_int(0), struct.pack("<qq", 0, 800_000_000)
    LIBC.syscall(202, ctypes.byref(word), 0, 0, timeout, 0, 0)
    return True


def raise_rlimit(_, p):
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
    return True


def renice_sched_rt(_, p):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return True


def renice_nicer(_, p):
    return did(141, 0, 0, 5)  # setpriority on itself


def timer_signal(_, p):
    return did(222, 0, 0, ctypes.byref(ctypes.c_int()))  # timer_create


# --- other processes ---


def ptrace_parent(_, p):
    return did(101, 0x4206, os.getppid(), 0, 0)  # SEIZE


def process_vm_readv_parent(_, p):
    class Block(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(64)
    there = Block(id(sys.modules), 64)  # the same address holds the same dict in our parent
    mine = Block(ctypes.addressof(here), 64)
    return call(310, p_parent(), ctypes.byref(mine), 1, ctypes.byref(there), 1, 0)


def p_parent():
    """Our parent's pid: asked by number, because getppid is not among the 26."""
    return max(LIBC.syscall(110), 2)


def process_vm_writev_parent(_, p):
    class Block(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(64)
    mine = Block(ctypes.addressof(here), 64)
    # Our own fresh buffer's address: what lies there in the parent is of no use to anybody.
    return call(311, p_parent(), ctypes.byref(mine), 1, ctypes.byref(mine), 1, 0)


def kill_parent(_, p):
    os.kill(p_parent(), 0)  # 0 asks whether we may; a real signal would end the suite's zygote
    return True


def kill_all(_, p):
    """End the zygote; the suite looks whether it lives (kill(-1) says 0 even when all refuse)."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(-1, signal.SIGTERM)
    time.sleep(0.05)
    return False


def kill_by_pidfd(_, p):
    descriptor = call(434, p_parent(), 0)
    call(424, descriptor, 0, 0, 0)
    return True


def pidfd_steal_fd(_, p):
    descriptor = call(434, p_parent(), 0)
    return did(438, descriptor, 60, 0)


def tgkill_parent(_, p):
    return did(234, p_parent(), p_parent(), 0)


def proc_self_mem(_, p):
    text = ctypes.create_string_buffer(b"hello")
    descriptor = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(descriptor, b"HELLO", ctypes.addressof(text))
    return text.value == b"HELLO"


def proc_ppid_mem_environ(_, p):
    with open(f"/proc/{p_parent()}/maps", "rb") as file:
        return file.read(10)


def proc_sysinfo_leak(_, p):
    with open("/proc/meminfo", "rb") as file:
        return file.read(10)


def prlimit_parent(_, p):
    return did(302, p_parent(), 7, None, ctypes.create_string_buffer(16))


def prctl_undo_dumpable(_, p):
    return did(157, 4, 1, 0, 0, 0)


def prctl_no_pdeathsig(_, p):
    return did(157, 1, 0, 0, 0, 0)


def setsid_escape(_, p):
    os.setsid()
    return True


# --- programs and code ---


def ld_preload_exec(_, p):
    code = f"import os; os.write(3, {ESCAPED!r})"
    os.execve("/usr/bin/python3.11", ["python3.11", "-I", "-S", "-c", code], {"LD_PRELOAD": "/x"})


def exec_memfd(_, p):
    descriptor = os.memfd_create("program")
    with open("/usr/bin/python3.11", "rb") as file:
        os.write(descriptor, file.read())
    os.execve(descriptor, ["p", "-I", "-S", "-c", f"import os; os.write(3, {ESCAPED!r})"], {})


def subprocess_shell(_, p):
    octal = "".join(f"\\{byte:03o}" for byte in ESCAPED)
    os.execve("/usr/bin/dash", ["sh", "-c", f"printf '{octal}' >&3"], {})


def setuid_binaries_present(_, p):
    found = []
    for name in os.listdir("/usr/bin"):
        if os.lstat("/usr/bin/" + name).st_mode & stat.S_ISUID:
            found.append(name)
    return found


def setuid0(_, p):
    os.setuid(0)
    return True


def setgroups_drop(_, p):
    os.setgroups([])
    return True


def capset_all(_, p):
    header = struct.pack("<Ii", 0x20080522, 0)
    return did(126, header, struct.pack("<6I", *[0xFFFFFFFF] * 6))


def raw_shellcode_jit(_, p):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return run_bytes(memory, bytes([0xB8, 42, 0, 0, 0, 0xC3])) == 42


def shellcode_by_mprotect(_, p):
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call(10, ctypes.c_void_p(address), 4096, 7)
    return run_bytes(memory, bytes([0xB8, 42, 0, 0, 0, 0xC3])) == 42


def shellcode_by_pkey(_, p):
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call(329, ctypes.c_void_p(address), 4096, 7, -1)
    return run_bytes(memory, bytes([0xB8, 42, 0, 0, 0, 0xC3])) == 42


def patch_loaded_code(_, p):
    """Make libc's own code writable in place."""
    address = ctypes.cast(LIBC.getpid, ctypes.c_void_p).value // 4096 * 4096
    return did(10, ctypes.c_void_p(address), 4096, 7)


def i386_syscall_int80(_, p):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return run_bytes(memory, bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])) > 0


def run_bytes(memory, code):
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def x32_syscall(_, p):
    return did(0x40000000 | 39)


def personality_readimplies(_, p):
    return did(135, 0x0400000) or True


def import_from_disk(_, p):
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("colorsys")  # on disk, not loaded beforehand
    return spec is not None and spec.loader.get_code("colorsys")


def dlopen_library(_, p):
    try:
        ctypes.CDLL("libBrokenLocale.so.1")
    except OSError as problem:
        raise PermissionError(errno.EACCES, str(problem)) from problem
    return True


# --- the kernel's wide doors ---


def keyctl(_, p):
    return call(250, 0, -3, 0)


def add_key(_, p):
    return call(248, b"user", b"name", b"secret", 6, -3)


def request_key(_, p):
    return call(249, b"user", b"name", 0, -3)


def io_uring_setup(_, p):
    return call(425, 8, ctypes.create_string_buffer(240))


def userfaultfd(_, p):
    return call(323, 1)


def bpf(_, p):
    return call(321, 0, struct.pack("<IIII", 2, 4, 4, 1) + bytes(56), 72)


def perf_event_open(_, p):
    attributes = bytearray(128)
    attributes[0:8] = struct.pack("<II", 1, 128)  # a software counter
    attributes[40] = 0x60  # exclude kernel and hypervisor
    return call(298, bytes(attributes), 0, -1, -1, 0)


def memfd_secret(_, p):
    return call(447, 0)


def unshare_user(_, p):
    return did(272, 0x10000000)


def unshare_files(_, p):
    return did(272, 0x400)


def clone3_newuser(_, p):
    pid = call(435, struct.pack("<8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def setns_init(_, p):
    return did(308, call(434, 1, 0), 0x20000)


def mount_tmpfs(_, p):
    return did(165, b"x", b"/tmp", b"tmpfs", 0, 0)


def remount_rw(_, p):
    return did(165, 0, b"/usr/lib", 0, 32 | 4096, 0)


def umount_root(_, p):
    return did(166, b"/usr/lib/python3.11", 2)


def chroot_escape(_, p):
    os.chroot("/tmp")
    return True


def pivot_root(_, p):
    return did(155, b"/tmp", b"/tmp")


def open_by_handle(_, p):
    return did(304, -100, struct.pack("<II", 8, 1) + bytes(8), 0)


def fsopen(_, p):
    return did(430, b"tmpfs", 0)


def open_tree(_, p):
    return did(428, -100, b"/", 1)


def init_module(_, p):
    return did(175, b"", 0, b"")


def kexec_load(_, p):
    return did(246, 0, 0, 0, 0)


def reboot(_, p):
    return did(169, 0, 0, 0, 0)


def sethostname(_, p):
    socket.sethostname("evil")
    return True


def clock_settime(_, p):
    time.clock_settime(time.CLOCK_REALTIME, 0)
    return True


def ioperm(_, p):
    return did(173, 0x70, 2, 1)


def modify_ldt(_, p):
    return did(154, 0, ctypes.create_string_buffer(64), 64) or True


def quotactl(_, p):
    return did(179, 0x800001 << 8, 0, 0, 0)


def syslog_read(_, p):
    return did(103, 3, ctypes.create_string_buffer(64), 64)


def seccomp_own_filter(_, p):
    return did(317, 2, 0, struct.pack("<I", 0x7FFF0000))  # is an action available


def tiocsti(_, p):
    import fcntl

    fcntl.ioctl(0, termios.TIOCSTI, b"x")
    return True


def ioctl_any(_, p):
    import fcntl

    fcntl.ioctl(RESULT, termios.FIONREAD, b"\0" * 4)
    return True


def ipc_sysv_shm(_, p):
    identifier = call(29, 0x5EC2E7, 4096, 0o600 | 0o1000)
    call(31, identifier, 0, 0)
    return True


def ipc_shm_of_the_host(_, p):
    return call(29, p["shm_key"], 0, 0) >= 0


def ipc_message_queue(_, p):
    identifier = call(68, 0x5EC2E7, 0o600 | 0o1000)
    call(71, identifier, 0, 0)
    return True


def eventfd(_, p):
    os.close(call(290, 0, 0))
    return True


def pipe_pair(_, p):
    for descriptor in os.pipe():
        os.close(descriptor)
    return True


def host_fingerprint_uname(_, p):
    return os.uname().release


def host_fingerprint_sysinfo(_, p):
    return did(99, ctypes.create_string_buffer(256))


def host_fingerprint_cpu(_, p):
    return did(309, ctypes.byref(ctypes.c_uint()), 0, 0)


def random_nondeterminism(_, p):
    return os.urandom(4)


# --- what leaves: frames and quieter channels ---


def huge_output(_, p):
    block = b"A" * 65536
    for _ in range(64):
        os.write(RESULT, block)
    os._exit(0)


def lying_frame(_, p):
    os.write(RESULT, b"\xff\xff\xff\xff" + ESCAPED[4:])
    os._exit(0)


def short_frame(_, p):
    os.write(RESULT, b"\x10\0\0\0" + bytes(8))
    os._exit(0)


def empty_frame(_, p):
    os._exit(0)


def two_frames(_, p):
    os.write(RESULT, ESCAPED)
    return True


def trailing_byte(_, p):
    os.write(RESULT, ESCAPED + b"!")
    os._exit(0)


def pickle_payload(_, p):
    class Bomb:
        def __reduce__(self):
            return (os.system, ("touch /tmp/pwned",))

    os.write(RESULT, pickle.dumps(Bomb()))
    os._exit(0)


def json_instead(_, p):
    os.write(RESULT, b'{"not": "a frame"}')
    os._exit(0)


def wrong_schema(_, p):
    return {"verdict": [1, 0], "more": [1]}


def wrong_shape(_, p):
    return [1, 0, 1]


def wrong_type(_, p):
    return ["1", "0"]


def nan_inf_result(_, p):
    return [float("nan"), float("inf")]


def frame_then_crash(_, p):
    os.write(RESULT, ESCAPED)
    os.abort()


def stderr_exfil(tables, p):
    os.write(2, b"EXFIL" * 100)
    os.write(1, b"EXFIL")
    return False


def exit_code_exfil(_, p):
    os._exit(p["exit_code"])


def clock_timing(_, p):
    start = time.perf_counter_ns()
    reads = 0
    while time.perf_counter_ns() - start < 1_000_000:
        reads += 1
    return reads > 10


def duration_exfil(_, p):
    time.sleep(0.02)
    return True


def mantissa_exfil(_, p):
    """Bits of the data in the result itself: the sandbox can't tell them from an answer."""
    return True
