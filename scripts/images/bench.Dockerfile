# What `./scripts/bench programs` runs: programs people use, as Debian builds them.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils python3 perl-base gzip sqlite3 gcc libc6-dev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

CMD ["/bin/bash", "--login"]
