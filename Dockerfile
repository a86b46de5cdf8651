# Scroll Chat for production. deploy/deno.json names only what production imports: the embedded Postgres and the
# libraries of tests stay out. tests/deploy_test.ts runs every RUN and CMD of this file without Docker.

FROM denoland/deno:2.9.6 AS build
WORKDIR /app
# Made anew only when a dependency changes; versions and digests are those of deno.lock.
COPY deploy/deno.json deno.lock ./
RUN deno install --quiet \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete \
  && rm -rf node_modules/.deno/zod@*/node_modules/zod/src
COPY main.ts ./
COPY migrations ./migrations
COPY src ./src

FROM denoland/deno:2.9.6
WORKDIR /app
# Owned by root: the server cannot change what it runs. It may write files of messages, where FILES_DIR=.data/files.
COPY --from=build /app /app
RUN install -d -o deno -g deno /app/.data/files
USER deno
ENV PORT=3001
EXPOSE 3001
HEALTHCHECK --interval=15s --timeout=4s --start-period=10s CMD ["deno", "eval", "--no-config", "const { ok } = await fetch(`http://127.0.0.1:${Deno.env.get('PORT')}/healthz`); if (!ok) Deno.exit(1);"]
# The words of `deno task start`; as a list, so that SIGTERM reaches the server and it drains.
CMD ["deno", "run", "--quiet", "--allow-net", "--allow-env", "--allow-read=.", "--allow-write=.data/files", "--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6,/lib64/libc.so.6,/lib/libc.musl-x86_64.so.1,/lib/libc.musl-aarch64.so.1", "main.ts", "start"]
