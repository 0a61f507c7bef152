# Threads that allocate and free, by the C library's functions or what replaces them.
import threading

sums = []


def work():
    kept = [bytes(i % 5000) for i in range(20000)]
    del kept[::2]
    sums.append(sum(map(len, kept)))


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sums, "jemalloc" in open("/proc/self/maps").read())
