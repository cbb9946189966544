// Texts by key, one JSON file per language; English is the fallback.

export const LANGUAGES = { en: 'English', de: 'Deutsch', es: 'Español', fr: 'Français', zh: '中文', ar: 'العربية' };

let strings = {};
let english = {};
let plural = new Intl.PluralRules('en');
export let lang = 'en';

export function preferred() {
	const saved = load('p2p.lang');
	if (saved in LANGUAGES) return saved;
	const wanted = (navigator.languages ?? [navigator.language]).map((l) => l.slice(0, 2).toLowerCase());
	return wanted.find((l) => l in LANGUAGES) ?? 'en';
}

const TIMEOUT_MS = 8000;
const PAUSE_MS = 1000;

async function read(code) {
	const answer = await fetch(new URL(`../i18n/${code}.json`, import.meta.url), { signal: AbortSignal.timeout(TIMEOUT_MS) });
	if (!answer.ok) throw new Error(`i18n/${code}: ${answer.status}`);
	return answer.json();
}

/** The page needs English: retries until it is loaded. */
async function readEnglish() {
	for (;;) {
		try {
			return await read('en');
		} catch {
			await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
		}
	}
}

export async function useLanguage(code) {
	if (!('app' in english)) english = await readEnglish();
	try {
		strings = code === 'en' ? english : await read(code);
		lang = code;
	} catch {
		strings = english;
		lang = 'en';
	}
	plural = new Intl.PluralRules(lang);
	document.documentElement.lang = lang;
	document.documentElement.dir = lang === 'ar' ? 'rtl' : 'ltr';
}

/** A module that is loaded when it is asked for, with the texts of such modules (i18n/later). */
export async function later(loading) {
	for (const [code, texts] of [['en', english], [lang, strings]])
		if (!('hist.now' in texts)) Object.assign(texts, await read(`later/${code}`));
	return loading;
}

/** t('n.files', {n: 3}) uses the plural form `key_few` etc., else `key_other`. */
export function t(key, values) {
	const text =
		find(values && 'n' in values ? `${key}_${plural.select(values.n)}` : key) ?? find(`${key}_other`) ?? key;
	return values
		? text.replace(/\{(\w+)\}/g, (all, name) => (name === 'n' ? number(values.n) : apart(values[name] ?? all)))
		: text;
}

/** Between words of a language from right to left, a name would change their order. */
const apart = (value) => (document.documentElement.dir === 'rtl' ? `\u2068${value}\u2069` : value);

const find = (key) => strings[key] ?? (key in english ? english[key] : undefined);
export const known = (key) => key in english;
export const number = (n) => new Intl.NumberFormat(lang).format(n);
/** For small places: 10K. */
export const briefly = (n) => (n < 10000 ? number(n) : new Intl.NumberFormat(lang, { notation: 'compact' }).format(n));

export function load(key, fallback = null) {
	try {
		return localStorage.getItem(key) ?? fallback;
	} catch {
		return fallback;
	}
}

export function save(key, value) {
	try {
		if (value === null) localStorage.removeItem(key);
		else localStorage.setItem(key, value);
	} catch {
		/* no storage: kept only by this page */
	}
}
