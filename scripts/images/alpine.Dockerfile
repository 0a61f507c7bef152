# The smallest useful machine: Alpine, musl and busybox.
FROM alpine:3.20

ENV LANG=C.UTF-8 TERM=xterm-256color

RUN adduser -D -u 1000 -s /bin/sh user

USER user
WORKDIR /home/user
CMD ["/bin/sh", "-l"]
