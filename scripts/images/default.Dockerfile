# The machine edgebox shows when nobody says otherwise: a small Debian with a compiler and an interpreter.
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 TERM=xterm-256color

# Documentation, caches and translations would be half of the image and are never read here.
RUN printf 'path-exclude=/usr/share/%s/*\n' doc man info locale lintian > /etc/dpkg/dpkg.cfg.d/edgebox \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash coreutils procps less vim-tiny python3 gcc libc6-dev curl ca-certificates file \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /usr/share/doc/* \
      /usr/share/man/* /usr/share/info/* /usr/share/locale/*

# `vi` is vim-tiny already; these make a shell pleasant.
RUN useradd --uid 1000 --user-group --create-home --shell /bin/bash user \
 && printf '%s\n' \
      "alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'" \
      'PS1="\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\\$ "' \
      >> /etc/bash.bashrc \
 && printf 'alias ls="ls --color=auto"\n' > /home/user/.bash_aliases \
 && printf '#include <stdio.h>\n\nint main(void)\n{\n\tputs("hello from edgebox");\n\treturn 0;\n}\n' \
      > /home/user/hello.c \
 && chown -R user:user /home/user

USER user
WORKDIR /home/user
CMD ["/bin/bash", "--login"]
