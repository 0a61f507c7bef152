# What psutil reads of the kernel and of processes.
import os
import psutil
import socket

process = psutil.Process()
memory, times, swap = psutil.virtual_memory(), psutil.cpu_times(), psutil.swap_memory()
print(0 < memory.available <= memory.total, times.user >= 0, times.idle >= 0, swap.total >= 0, psutil.boot_time() > 1e9)
print(any(part.path.endswith("libc.so.6") for part in process.memory_maps()), process.memory_full_info().uss > 0)
file, server = open("/tmp/x", "w"), socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
print([file.path for file in process.open_files()])
print([one.status for one in process.connections("tcp") if one.laddr.port == port])
loopback = psutil.net_if_addrs()["lo"][0]
print(loopback.address, loopback.netmask, psutil.net_if_stats()["lo"].mtu, psutil.disk_usage("/").total > 0)
print(psutil.users(), len(psutil.disk_partitions(all=True)) > 0)
print(process.name(), process.cmdline(), process.cwd(), process.exe(), process.username())
print(process.num_threads(), process.nice(), process.ionice().value, process.ppid() == os.getppid())
print(process.pid in psutil.pids(), process.create_time() >= psutil.boot_time(), process.io_counters().read_count > 0)
child = psutil.Popen(["sleep", "100"])
print([other.pid == child.pid for other in process.children()])
child.terminate()
print(child.wait())
