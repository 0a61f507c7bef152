# A 32-bit Debian: every program in it is for i386.
FROM i386/debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# What apt and its packages leave behind is never read here.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends bash coreutils procps python3 file \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

CMD ["/bin/bash", "--login"]
