// What a page owes to people who do not see it, or do not use a mouse. Runs inside the browser.
//
// A handful of rules of WCAG 2.2 that a program can check; no substitute for trying the page.

/**
 * Everything that is wrong, one sentence each.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function faults(page) {
  return [...(await page.evaluate(inspect)), ...(await unnamed(page))];
}

/** Controls without an accessible name, as the browser itself computes names. */
async function unnamed(page) {
  const roles = new Set(["link", "button", "textbox", "checkbox", "radio", "combobox", "DisclosureTriangle"]);
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  return nodes
    .filter((node) => !node.ignored && roles.has(node.role?.value) && !node.name?.value?.trim())
    .map((node) => `a ${node.role.value} has no name`);
}

/** Structure and contrast. Serialized into the page, so that it stands alone. */
function inspect() {
  const found = [];
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const name = (element) => `<${element.localName}> "${element.textContent.trim().slice(0, 40)}"`;

  if (!document.documentElement.lang) found.push("the document has no language");
  if (!document.title) found.push("the document has no title");
  for (const landmark of ["header", "nav", "main", "footer"]) {
    const count = [...document.querySelectorAll(landmark)].filter(visible).length;
    if (count !== 1) found.push(`${count} visible <${landmark}>`);
  }
  for (const nav of document.querySelectorAll("nav")) {
    if (!nav.getAttribute("aria-label") && !nav.getAttribute("aria-labelledby")) found.push("a <nav> has no name");
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) found.push(`image ${image.src} has no alt`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) found.push("an id is there twice");

  const headings = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].filter(visible);
  if (headings.filter((heading) => heading.localName === "h1").length !== 1) found.push("there is not one <h1>");
  let level = 0;
  for (const heading of headings) {
    const next = Number(heading.localName[1]);
    if (next > level + 1) found.push(`${name(heading)} comes after level ${level}`);
    level = next;
  }

  // Contrast, WCAG 2.2, 1.4.3: 4.5 to 1, for large text 3 to 1.
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName) || !visible(element)) continue;
    const style = getComputedStyle(element);
    const [one, two] = [luminance(parse(style.color).rgb), luminance(behind(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${name(element)} has a contrast of ${ratio.toFixed(2)} to 1`);
  }

  // 2.5.8: what is clicked is 24 px high at least, except links inside a sentence.
  for (const control of document.querySelectorAll("button,summary,nav a")) {
    const { height } = control.getBoundingClientRect();
    if (visible(control) && height > 0 && height < 24) found.push(`${name(control)} is ${height} px high`);
  }
  if (document.documentElement.scrollWidth > innerWidth + 1) {
    found.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${innerWidth}`);
  }
  return [...new Set(found)];
}

/**
 * Goes through the page with the Tab key; every stop must show that it has the focus.
 *
 * @returns {Promise<{ stops: string[], unseen: string[] }>} what was reached, and what shows nothing
 */
export async function tabThrough(page, count) {
  const stops = [];
  const unseen = [];
  for (let step = 0; step < count; step += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      const box = at.getBoundingClientRect();
      const inside = box.width > 0 && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
      const ring = outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2;
      return { name: `${at.localName} ${at.textContent.trim().slice(0, 40)}`, ok: ring && inside };
    });
    stops.push(stop.name);
    if (!stop.ok) unseen.push(stop.name);
  }
  return { stops, unseen };
}
