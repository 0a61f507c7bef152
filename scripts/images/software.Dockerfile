# What people put into a box to see whether it is a real one: servers, debuggers, tools of developers. Tests run it.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# What apt and its packages leave behind is never read here.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps python3 curl iproute2 redis-server redis-tools nginx-light strace gdb gcc libc6-dev git make \
      sqlite3 inotify-tools sudo dpkg tmux screen vim-tiny less htop nano mc dialog postgresql-15 ripgrep restic valgrind \
      openssh-server openssh-client rsync iputils-ping \
 && rm /etc/ssh/ssh_host_* \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

WORKDIR /root
CMD ["/bin/bash", "--login"]
