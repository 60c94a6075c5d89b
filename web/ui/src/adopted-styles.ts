// What media-chrome takes for the page's globals (see `vite.config.js`), with one difference: the elements built on them keep their styles in
// adopted style sheets. Published as it is, media-chrome writes <style> elements into its shadow roots, and the pages' policy, `style-src
// 'self'`, rightly lets no text of a page be a style. A sheet that a script constructs is not text of the page.

/** How media-chrome finds the <style> elements of a shadow root, to change their rules. */
const STYLES = 'style:not([media])';

/** The base of every element of media-chrome. */
class AdoptingElement extends HTMLElement {
  override attachShadow(init: ShadowRootInit): ShadowRoot {
    const root = super.attachShadow(init);
    // One for each element: media-chrome keeps the place of its bars in the rules.
    const sheet = new CSSStyleSheet();
    root.adoptedStyleSheets = [sheet];
    const fill = (html: string) => root.replaceChildren(withoutStyles(html, sheet));
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- one of its overloads is, for elements that nobody uses
    const all = (selector: string) => DocumentFragment.prototype.querySelectorAll.apply(root, [selector]);
    Object.defineProperties(root, {
      setHTMLUnsafe: { value: fill },
      innerHTML: { set: fill },
      querySelectorAll: { value: (selector: string) => (selector === STYLES ? [{ sheet }] : all(selector)) },
    });
    return root;
  }
}

/** The markup of an element with its styles moved into `sheet`. */
function withoutStyles(html: string, sheet: CSSStyleSheet): DocumentFragment {
  const { content } = Object.assign(document.createElement('template'), { innerHTML: html });
  const styles = [...content.querySelectorAll('style')];
  sheet.replaceSync(styles.map((style) => style.textContent).join('\n'));
  // A declared shadow root would come with styles of its own; without one, the element makes its root as everywhere else.
  for (const part of [...styles, ...content.querySelectorAll('template[shadowrootmode]')]) part.remove();
  return document.importNode(content, true);
}

/** The page's globals, but for the base of all elements. Functions of the window want to be called as such. */
export const GlobalThis = new Proxy(window, {
  get(page, name): unknown {
    if (name === 'HTMLElement') return AdoptingElement;
    const value: unknown = Reflect.get(page, name, page);
    return typeof value === 'function' ? (value.bind(page) as unknown) : value;
  },
});
export const Document = document;
export const isServer = false;
export { GlobalThis as globalThis, Document as document };
