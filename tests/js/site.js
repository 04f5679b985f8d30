// The publisher's own site: an article at every path, and drawings for the stories.

import { createServer } from "node:http";

/** Sky, far hills, near hills, sun. */
const palettes = [
  ["#f3d9b1", "#c98b6b", "#7d4f50", "#fff4de"],
  ["#bcd4de", "#7f9fb0", "#3d5a6c", "#f7e8c6"],
  ["#e7c6c0", "#b0778a", "#5b3b5a", "#ffe9d6"],
  ["#d6e2c4", "#93ad7c", "#47633f", "#fff6c9"],
  ["#2f3c59", "#4d5f86", "#1b2338", "#f2e3b3"],
  ["#f0e3c8", "#d0a24c", "#86602a", "#c8452f"],
];

/** Listens on a port of its own; `opened` lists the articles that were asked for. */
export async function startSite() {
  const opened = [];
  const server = createServer((request, response) => {
    const picture = /^\/pictures\/(\d+)\.svg$/.exec(request.url);
    if (picture) {
      response.writeHead(200, { "content-type": "image/svg+xml" }).end(draw(Number(picture[1])));
    } else {
      opened.push(request.url);
      response
        .writeHead(200, { "content-type": "text/html" })
        .end('<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A story</title><h1>A story</h1>');
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    opened,
    image: (number) => `${url}/pictures/${number}.svg`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A landscape; the same number always gives the same one. */
function draw(number) {
  const [sky, far, near, sun] = palettes[number % palettes.length];
  const at = (n, range) => ((number * 2654435761 + n * 40503) >>> 7) % range;
  const hill = (base, height, seed) => {
    let path = `M0 900V${base - at(seed, height)}`;
    for (let x = 200; x <= 1600; x += 200) {
      path += `Q${x - 100} ${base - at(seed + x, height)} ${x} ${base - at(seed + x + 7, height) / 2}`;
    }
    return `${path}V900Z`;
  };
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1600 900"><rect width="1600" height="900" fill="${sky}"/>` +
    `<circle cx="${250 + at(1, 1100)}" cy="${200 + at(2, 200)}" r="${70 + at(3, 60)}" fill="${sun}"/>` +
    `<path d="${hill(620, 260, 11)}" fill="${far}"/><path d="${hill(790, 200, 29)}" fill="${near}"/></svg>`
  );
}
