# What `./scripts/bench programs` runs: programs people use, as Debian builds them.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils findutils python3 perl-base gzip sqlite3 gcc libc6-dev git \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

# 5,000 files for `git status` to look at.
RUN mkdir -p /srv/repository && cd /srv/repository && git init -q . \
 && for d in $(seq 50); do mkdir $d; for f in $(seq 100); do echo "$d $f" > $d/$f; done; done \
 && git add . && git -c user.name=bench -c user.email=bench@localhost commit -qm all

CMD ["/bin/bash", "--login"]
