# CPython with its own tests, as Debian packages them.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps netbase python3 libpython3.11-testsuite \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

WORKDIR /tmp
CMD ["/bin/bash", "--login"]
