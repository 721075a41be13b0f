FROM oven/bun:1.4.5 AS build
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
RUN bun run build

# The binary links glibc, and nothing else beside the kernel's /proc.
FROM gcr.io/distroless/base-debian12:nonroot
COPY --from=build /app/dist/hedgerow /hedgerow
EXPOSE 8080 9090
ENTRYPOINT ["/hedgerow"]
CMD ["serve"]
