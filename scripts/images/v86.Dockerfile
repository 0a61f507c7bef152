# What `./scripts/bench v86` boots here and in v86: a 32-bit Debian that brings its own kernel.
FROM i386/debian:bookworm-slim

# An initrd with no more than what finds v86's disk.
RUN mkdir -p /etc/initramfs-tools/conf.d \
 && echo MODULES=list > /etc/initramfs-tools/conf.d/small \
 && printf 'ata_piix\nsd_mod\next4\n' > /etc/initramfs-tools/modules \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -o Dpkg::Options::=--force-confold \
      linux-image-686 initramfs-tools \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

CMD ["/bin/bash", "--login"]
