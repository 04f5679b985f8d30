// A real Chromium, driven by playwright-core, that reaches nothing but this machine.

import { existsSync } from "node:fs";

const executablePath = process.env.MEDIAFLOW_CHROMIUM ?? "/usr/bin/chromium";

/** Why no test can run here that needs a browser, or nothing. */
export function chromiumMissing() {
  return existsSync(executablePath) ? undefined : `${executablePath} is not installed`;
}

/** A browser with an empty profile, gone when it is closed. */
export async function startChromium() {
  const { chromium } = await import("playwright-core");
  return chromium.launch({
    executablePath,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/**
 * A page in a profile of its own. `trouble` collects what a reader's console would show, and every
 * violation of the content security policy.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {import("playwright-core").BrowserContextOptions} options
 */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const trouble = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) trouble.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => trouble.push(`uncaught: ${error.message}`));
  page.on("response", (response) => {
    if (response.status() >= 400) trouble.push(`${response.status()} ${response.url()}`);
  });
  return { page, context, trouble };
}
