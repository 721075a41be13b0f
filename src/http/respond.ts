/** One line of plain text. */
export function line(status: number, text: string): Response {
  return plain(status, `${text}\n`);
}

export function plain(status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      // Values are anybody's text: no browser may take one for a page.
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  });
}
