# Headgate in an image with nothing else in it: no shell, no libc, not root.
#
#   docker build -t headgate .
#   docker run -p 80:80 -p 443:443 -p 443:443/udp \
#     -v ./headgate.yaml:/etc/headgate/headgate.yaml:ro \
#     -v headgate:/var/lib/headgate -v /run/shop:/run/shop headgate
#
# /var/lib/headgate holds certificates and ACME accounts: give it a named volume, or
# each new container orders anew. A directory of the host must belong to 65532.
#
# There is no Python in it. An image with an app takes the binary from here:
#
#   COPY --from=headgate /headgate /usr/local/bin/headgate
#   ENTRYPOINT ["headgate", "up", "--no-watch", "shop.wsgi:application"]

FROM golang:1.26-bookworm AS build
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/headgate ./cmd/headgate
# What the program writes to. /tmp holds files without a name: bodies that do not
# fit into memory.
RUN mkdir -p /root-fs/etc/headgate /root-fs/run/headgate /root-fs/var/lib/headgate /root-fs/tmp \
 && chmod 700 /root-fs/run/headgate /root-fs/var/lib/headgate \
 && chmod 1777 /root-fs/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /root-fs/ /
COPY --from=build /out/headgate /headgate
# A user who is not root keeps its data below these.
ENV XDG_DATA_HOME=/var/lib XDG_RUNTIME_DIR=/run/headgate
USER 65532:65532
VOLUME ["/var/lib/headgate"]
EXPOSE 80 443 443/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/headgate"]
CMD ["run", "-c", "/etc/headgate/headgate.yaml"]
