# The machine edgebox shows when nobody says otherwise: a small Debian with a compiler and an interpreter.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# What apt and its packages leave behind is never read here.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps less vim-tiny python3 gcc libc6-dev curl ca-certificates file \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

RUN useradd --uid 1000 --user-group --create-home --shell /bin/bash user \
 && printf '#include <stdio.h>\n\nint main(void)\n{\n\tputs("hello from edgebox");\n\treturn 0;\n}\n' \
      > /home/user/hello.c \
 && chown user:user /home/user/hello.c

USER user
WORKDIR /home/user
# What visitors are likely to start, so that it starts soon: see "Disk format" in README.md.
LABEL edgebox.profile="python3; gcc -o /tmp/hello hello.c; vi hello.c; less hello.c"
CMD ["/bin/bash", "--login"]
