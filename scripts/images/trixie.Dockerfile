# Debian 13: another C library, times of 64 bits, another Python. Tests run it.
FROM debian:trixie-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# What apt and its packages leave behind is never read here.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps python3 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

WORKDIR /root
CMD ["/bin/bash", "--login"]
