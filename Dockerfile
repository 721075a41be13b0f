# docker build -t hedgerow .
FROM oven/bun:1.4.5 AS build
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production
COPY tsconfig.json ./
COPY scripts/build.ts scripts/
COPY src src
RUN bun run build && mkdir /data

# glibc, certificates of authorities, time zones, and no shell.
FROM gcr.io/distroless/base-debian12:nonroot
LABEL org.opencontainers.image.title="hedgerow" \
      org.opencontainers.image.description="Leader, fenced lock, append-only log, messaging and membership for the pods of a plain Kubernetes Deployment" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /app/dist/hedgerow /hedgerow
# The only place that is written to: the root may be read-only.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /data
VOLUME /data
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/hedgerow"]
CMD ["serve"]
