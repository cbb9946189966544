// Sends files and texts to a device: who gets it, and what is dropped on a face. Loaded with the first use.
import { post } from './api.js';
import { loadOffers, loadPeers } from './data.js';
import { button, growBox, h, hintLine, para, visible } from './dom.js';
import { dropped, fromInput } from './drop.js';
import { later, t } from './i18n.js';
import { isOwner, state } from './store.js';
import { attempt, called, dialog, toast } from './ui.js';
import { faceOf } from './face.js';
import { addUploads } from './upload.js';

/** Everybody that something can be sent to. */
export function faces() {
	const peers = state.peers.list.filter((p) => !p.self && !['blocked', 'changed'].includes(p.trust));
	const devices = state.offers.devices.map((d) => ({ to: `device:${d.id}`, name: visible(d.name), look: { peer_id_full: d.id.repeat(2), kind: 'phone' } }));
	const all = [...peers.map((p) => ({ to: p.peer_id_full, name: called(p), look: p })), ...devices];
	return state.offers.paired ? [{ to: 'here', name: visible(state.status?.name ?? t('self')), look: { peer_id_full: '0'.repeat(64), kind: 'desktop' } }, ...all] : all;
}

const give = async (face, files, text) => {
	await post('offers', { to: face.to, files, text });
	toast(t('send.sent', { name: face.name }), { kind: 'ok' });
	loadOffers().catch(() => {});
};

/** Uploads into a folder of its own, which only the receiver sees, and sends it. */
export const sendFiles = (face, entries) =>
	attempt(async () => {
		const { path } = await post('offers/folder');
		const results = await addUploads(await entries, path);
		if (!results.every((one) => one.state === 'done')) return;
		const tops = results.map((one) => one.name.slice(path.length + 1));
		const names = new Set(tops.map((name) => `${path}/${name.split('/')[0]}${name.includes('/') ? '/' : ''}`));
		await give(face, names.size > 100 ? [`${path}/`] : [...names], '');
	});

/** A link for people without a device here; or how this device may make one. */
async function linkOf(files) {
	const { linkPart } = await later(import('./links.js'));
	return isOwner() ? linkPart(files) : hintLine(`${t('slink.title')}: ${t('err.owner_only')}`);
}

/** Asks who gets these shared files (names; a folder's ends in a slash), or a text. */
export async function sendTo(files) {
	await attempt(() => Promise.all([loadPeers(), loadOffers()]));
	const text = h('textarea', { id: 'send-text', rows: 2, maxlength: 4000, dir: 'auto' });
	const to = faces();
	const link = files.length ? await linkOf(files) : '';
	let choose;
	const row = (face) =>
		h('button', { type: 'button', class: 'face-row', onclick: () => choose(face) }, faceOf(face.look), h('bdi', {}, face.name));
	await dialog({
		title: t('send.title'),
		body: (close) => {
			choose = (face) =>
				attempt(async () => {
					await give(face, files, text.value.trim());
					close(null);
				});
			return [
				h('label', { for: 'send-text' }, t(files.length ? 'send.note' : 'text.label')),
				text,
				to.length ? h('div', { class: 'face-rows' }, to.map(row)) : para(t('send.nobody')),
				link,
			];
		},
		actions: [{ label: t('cancel'), value: null }],
	});
}

/** A place where files can be dropped for this face. */
export function dropOn(el, face) {
	const take = (event) => {
		if (![...(event.dataTransfer?.types ?? [])].includes('Files')) return false;
		event.preventDefault();
		event.stopPropagation();
		return true;
	};
	el.addEventListener('dragover', (e) => take(e) && el.classList.add('over'));
	el.addEventListener('dragleave', () => el.classList.remove('over'));
	el.addEventListener('drop', (e) => {
		if (!take(e)) return;
		el.classList.remove('over');
		sendFiles(face(), dropped(e.dataTransfer));
	});
}

/** Files from this browser, or a text, for one device. */
export async function sendSheet(face) {
	const files = h('input', { type: 'file', multiple: true, hidden: true, onchange: () => done?.(fromInput(files)) });
	const text = h('textarea', { id: 'send-text', rows: 3, maxlength: 4000, dir: 'auto' });
	let done = null;
	await dialog({
		title: t('send.to', { name: face.name }),
		body: (close) => {
			done = (entries) => {
				close(null);
				sendFiles(face, entries);
			};
			return [
				button(t('send.files'), { kind: 'primary', icon: 'plus', onclick: () => files.click() }),
				files,
				h('label', { for: 'send-text' }, t('text.label')),
				text,
			];
		},
		actions: [{ label: t('cancel'), value: null }, { label: t('send.text'), value: 'yes', main: true }],
		submit: async () => {
			await post('offers', { to: face.to, text: text.value.trim() });
			toast(t('send.sent', { name: face.name }), { kind: 'ok' });
			loadOffers().catch(() => {});
		},
	});
}

/** Paired browsers, and from one of them this computer. */
export function pairedFaces(el) {
	const some = faces().filter((face) => !/^[0-9a-f]{64}$/.test(face.to));
	const row = (face) => {
		const send = button(t('send'), { onclick: () => sendSheet(face) });
		const one = h('li', { class: 'row' }, h('div', { class: 'row-main' }, faceOf(face.look), growBox(h('bdi', { class: 'name' }, face.name)), send));
		dropOn(one, () => face);
		return one;
	};
	el.hidden = some.length === 0;
	el.replaceChildren(h('div', { class: 'card-head' }, h('h2', {}, t('send.paired'))), h('ul', {}, some.map(row)));
}
