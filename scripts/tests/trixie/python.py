"""What Python 3.13 asks the kernel and the processor for: printed the same by Linux and by us."""
import array
import asyncio
import concurrent.futures
import ctypes
import decimal
import hashlib
import mmap
import multiprocessing
import os
import platform
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time


def square(number):
    return number * number


async def gathered():
    process = await asyncio.create_subprocess_exec("/bin/echo", "child", stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    reader, writer = socket.socketpair()
    loop = asyncio.get_running_loop()
    reader.setblocking(False)
    writer.send(b"pair")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(0.01 * n, n)) for n in range(5)]
    return said, await loop.sock_recv(reader, 10), [task.result() for task in tasks]


def files():
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 10000)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as view:
            view[5000:5003] = b"abc"
        os.posix_fallocate(file.fileno(), 0, 20000)
        file.seek(4999)
        with tempfile.TemporaryFile() as copy:
            copied = os.copy_file_range(file.fileno(), copy.fileno(), 5, offset_src=4999)
            copy.seek(0)
            return file.read(5), os.fstat(file.fileno()).st_size, copied, copy.read()


def processes():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -USR1 $PPID; exit 7"], os.environ)
    received = signal.sigtimedwait([signal.SIGUSR1], 60).si_signo
    descriptor = os.pidfd_open(pid)
    return received, os.waitid(os.P_PIDFD, descriptor, os.WEXITED).si_status


def main():
    print(sys.version)
    print(platform.libc_ver(), struct.calcsize("l"), ctypes.sizeof(ctypes.c_time_t))
    print(asyncio.run(gathered()))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(list(pool.map(square, range(8))))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(square, range(5)))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    print(processes(), files())
    barrier = threading.Barrier(3, timeout=60)
    threads = [threading.Thread(target=barrier.wait) for _ in range(2)]
    [thread.start() for thread in threads]
    barrier.wait()
    [thread.join(60) for thread in threads]
    print(barrier.n_waiting, threading.active_count())
    print(time.gmtime(2**33), decimal.Decimal(2).sqrt(), 2**0.5, (0.1).hex())
    print(ssl.OPENSSL_VERSION, hashlib.scrypt(b"p", salt=b"s", n=64, r=8, p=1, dklen=8).hex())
    print(hashlib.blake2b(array.array("d", [n / 7 for n in range(10000)]).tobytes()).hexdigest()[:16])
    print(subprocess.run("echo $0; exit 3", shell=True, capture_output=True, text=True))


if __name__ == "__main__":
    main()
