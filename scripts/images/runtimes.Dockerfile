# What compiles as it runs: JavaScript's engine. And what asks the kernel about all it knows. Tests run it.
# Java is not among it: with OpenJDK 17 the image takes 200 MB more. Null pointers, stack overflows, threads, garbage
# collection, processes and sockets worked in it when they were tried.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# What apt and its packages leave behind is never read here.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps nodejs python3-psutil libjemalloc2 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

WORKDIR /root
CMD ["/bin/bash", "--login"]
