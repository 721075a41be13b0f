// The least that a compiled binary with an HTTP listener can be. The port comes as its argument.
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch: () => new Response("ok\n"),
});
