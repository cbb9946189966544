// The language of the search field: words in any order, and filters. Loaded with the first search that needs it.
import { get } from './api.js';
import { loadPeers } from './data.js';
import { h, hintLine, kindOf, visible } from './dom.js';
import { number, t } from './i18n.js';
import { state } from './store.js';
import { called } from './ui.js';
import { ask } from './views/search.js';

/** What may stand behind type:, and the kinds of dom.js. */
const TYPES = {
	video: 'video', film: 'video', image: 'image', picture: 'image', photo: 'image', audio: 'audio', music: 'audio',
	text: 'text', document: 'text', archive: 'archive', zip: 'archive', code: 'code',
};
/** Ends of names to ask for when a type is all that is known. */
export const ENDS = {
	video: ['.mp4', '.mkv', '.webm', '.mov', '.avi', '.m4v'],
	image: ['.jpg', '.jpeg', '.png', '.gif', '.webp', '.heic', '.svg'],
	audio: ['.mp3', '.flac', '.ogg', '.opus', '.wav', '.m4a'],
	text: ['.pdf', '.txt', '.md', '.doc', '.odt', '.epub', '.xls', '.csv'],
	archive: ['.zip', '.tar', '.gz', '.7z', '.rar', '.iso'],
	code: ['.c', '.py', '.js', '.html', '.json', '.sh'],
};
const UNITS = { '': 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, t: 1e12, tb: 1e12, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 };

/** ">1GB" as a test of sizes; null: it is no size. */
function sizeTest(text) {
	const [, sign, number, unit] = /^([<>]=?)(\d+(?:[.,]\d+)?)([a-z]*)$/i.exec(text) ?? [];
	const bytes = Number(number?.replace(',', '.')) * UNITS[unit?.toLowerCase()];
	if (!Number.isFinite(bytes)) return null;
	return sign.startsWith('>') ? (size) => size > bytes || (sign === '>=' && size === bytes) : (size) => size < bytes || (sign === '<=' && size === bytes);
}

/**
 * `words`, `without`: parts of names; `types`: kinds; `sizes`: tests; `from`: parts of names of devices;
 * `wrong`: filters that mean nothing. A part in quotes is one word.
 */
export function parse(text) {
	const query = { words: [], without: [], types: [], sizes: [], from: [], wrong: [] };
	for (const [all, minus, name, quoted, bare] of text.matchAll(/(-?)(?:(type|size|from):)?(?:"([^"]*)"?|(\S+))/gi)) {
		const value = (quoted ?? bare).toLowerCase();
		const filter = name?.toLowerCase();
		if (!value) continue;
		if (!filter) (minus ? query.without : query.words).push(value);
		else if (filter === 'from' && !minus) query.from.push(value);
		else if (filter === 'type' && TYPES[value] && !minus) query.types.push(TYPES[value]);
		else if (filter === 'size' && sizeTest(value) && !minus) query.sizes.push(sizeTest(value));
		else query.wrong.push(all);
	}
	query.filtered = query.without.length + query.types.length + query.sizes.length + query.from.length > 0;
	return query;
}

/** `namesOf(result)`: what the devices of a result are called. */
export function matches(query, result, namesOf) {
	const name = result.name.toLowerCase();
	return (
		query.words.every((word) => name.includes(word)) &&
		!query.without.some((word) => name.includes(word)) &&
		(query.types.length === 0 || query.types.includes(kindOf(name))) &&
		query.sizes.every((test) => result.size !== null && test(result.size)) &&
		(query.from.length === 0 || namesOf(result).some((device) => query.from.some((part) => device.toLowerCase().includes(part))))
	);
}

/** What the registry is asked for: the longest word, or else the ends that the type has. None: nothing can be asked. */
export function questions(query) {
	if (query.words.length) return [query.words.reduce((a, b) => (b.length > a.length ? b : a))];
	return query.types.flatMap((type) => ENDS[type]);
}

export const hasFilters = (text) => parse(text).filtered;

/** All pages of one question, at most 1000 results: p2p-ui has no more. */
async function askAll(q) {
	const all = { results: [], cut: false };
	let next = '';
	do {
		const page = await ask(q, { limit: 500, ...(next && { cursor: next }) });
		all.results.push(...page.results);
		all.cut = page.truncated;
		next = page.next;
	} while (next);
	return all;
}

/** The files of the devices that from: names, when no word tells what to ask a registry for. */
async function filesFrom(query) {
	await loadPeers();
	const peers = state.peers.list.filter((p) => !p.self && query.from.some((part) => called(p).toLowerCase().includes(part)));
	const lists = await Promise.all(peers.map((p) => get(`peers/${p.peer_id_full}/files?limit=1000`)));
	const results = lists.flatMap(({ files }, i) => files.map((f) => ({ sha256: null, have: null, ...f, sources: [{ ...peers[i], self: false, trust: 'known' }] })));
	return { results, cut: lists.some((list) => list.next) };
}

const namesOf = (result) => result.sources.map((s) => called(s));

/**
 * Names with all words, in any order, that pass the filters: {results, next, note}. The registry looks for the
 * longest word; the rest is done here. `note`: what was not understood, or not looked at.
 */
export async function withFilters(text) {
	const query = parse(text);
	const notes = query.wrong.length ? [t('search.wrong', { filter: visible(query.wrong.join(' ')) })] : [];
	const asked = questions(query);
	const possible = asked.length > 0 || query.from.length > 0;
	const answers = asked.length ? await Promise.all(asked.map(askAll)) : possible ? [await filesFrom(query)] : [];
	const seen = new Map(answers.flatMap(({ results }) => results).map((r) => [`${r.root} ${r.name}`, r]));
	if (!possible) notes.push(t('search.needs'));
	if (answers.some((answer) => answer.cut)) notes.push(t('search.cut', { count: number(seen.size) }));
	return { results: [...seen.values()].filter((r) => matches(query, r, namesOf)), next: null, note: notes.join(' ') };
}

/** Filters that can be used, each with an example that a press adds to the field. */
export function help(input, run) {
	const rows = ['type:video', 'size:>1GB', 'from:Kitchen', '-draft', '"two words"'].map((example, i) => {
		const add = () => {
			input.value = `${input.value.trim()} ${example}`.trim();
			input.focus();
			run();
		};
		return [h('dt', {}, h('button', { type: 'button', class: 'btn link', onclick: add }, h('code', { dir: 'ltr' }, example))), h('dd', {}, t(`search.help.${i + 1}`))];
	});
	return [hintLine(t('search.help.0')), h('dl', { class: 'facts' }, rows)];
}
