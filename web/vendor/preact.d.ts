type Change<T> = T | ((before: T) => T);
export function html(strings: TemplateStringsArray, ...values: any[]): any;
export function render(vnode: any, parent: Element): void;
export function useEffect(effect: () => void | (() => void), inputs?: unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: unknown[]): void;
export function useMemo<T>(make: () => T, inputs: unknown[]): T;
export function useRef<T>(first: T): { current: T };
export function useState<T>(first: T | (() => T)): [T, (next: Change<T>) => void];
