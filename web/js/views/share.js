import { get, post } from '../api.js';
import { loadGrants, loadShared } from '../data.js';
import { button, fileIcon, fileName, growBox, grow, h, hintLine, icon, item, metaText, para, setFileIcon, setFileName, setText, visible } from '../dom.js';
import { fromInput, textFile } from '../drop.js';
import { awayNotices, goTo, manyActions, notice, openFile, openNamed, removeFile, ruleOf, save, saveAction, undo } from '../files.js';
import { ago, bytes, left, percent, percentText, speed } from '../format.js';
import { later, load, t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { Shelf } from '../shelf.js';
import { changed, isOwner, on, state } from '../store.js';
import { attempt, command, dialog, empty, loadingText, ownPeer, progressBar, rowActions, toast, viewHead } from '../ui.js';
import { addUploads, cancelUpload, cancelUploads, clearUploads, dropUpload, retryUpload, uploading } from '../upload.js';

const RETRY_MS = 5000; // for a page opened while p2p-ui was away

const pageOf = (base, name) => `${base}#file=${encodeURIComponent(name)}`;

export async function shareLink(file) {
	const base = state.status?.urls?.[0];
	const link = pageOf(base ?? location.href.split('#')[0], file.name);
	const lines = [para(base ? t('link.text') : t('link.local')), command(link)];
	if (base) {
		lines.unshift(
			h('img', {
				class: 'qr',
				alt: t('link.qr'),
				width: 200,
				height: 200,
				src: `api/qr?target=share&name=${encodeURIComponent(file.name)}`,
			}),
		);
	}
	lines.push(hintLine(t('link.get')), command(`bin/p2p get '${file.name.replaceAll("'", "'\\''")}'`));
	if (file.sha256) lines.push(hintLine('SHA-256'), command(file.sha256));
	await dialog({ title: visible(file.name), body: lines });
}

async function rename(file) {
	const input = h('input', {
		type: 'text',
		id: 'new-name',
		value: file.name,
		autofocus: true,
		autocomplete: 'off',
		spellcheck: 'false',
		maxlength: 255,
		dir: 'auto',
	});
	const dot = file.name.lastIndexOf('.');
	const submit = async () => {
		if (!input.value || input.value === file.name) return;
		const answer = await post(`shared/${encodeURIComponent(file.name)}/rename`, { to: input.value });
		loadShared().catch(() => {});
		toast(t('renamed', { name: visible(answer.filename) }), {
			kind: 'ok',
			undo: true,
			action: undo(`shared/${encodeURIComponent(answer.filename)}/rename`, { to: file.name }, loadShared),
		});
	};
	const asked = dialog({
		title: t('rename'),
		body: [h('label', { for: 'new-name' }, t('rename.label')), input],
		actions: [{ label: t('cancel'), value: null }, { label: t('rename'), value: 'yes', main: true }],
		submit,
	});
	input.setSelectionRange(file.name.lastIndexOf('/') + 1, dot > 0 ? dot : file.name.length);
	await asked;
}

const old = () => later(import('../history.js'));
const showHistory = (file) => attempt(async () => (await old()).showHistory(file.name));
const goBack = (folder) => attempt(async () => (await later(import('../rewind.js'))).goBack(folder.name));
const showDeleted = () => attempt(async () => (await old()).showDeleted());

const remove = (file) =>
	removeFile(file, {
		...paths,
		ask: async (one) => (await old()).askDelete(one),
	});

/** Why others cannot download a file now. */
const stateText = (file) =>
	`${t(`fs.${file.state}`)}${file.reason ? `: ${file.reason.split(': ').pop()}` : ''}`;

async function showProblems() {
	await attempt(async () => {
		const { problems, count } = await get('shares/problems?limit=1000');
		const rows = problems.map((p) => item(grow(h('bdi', {}, p.name), metaText(p.reason))));
		await dialog({ title: t('problems', { n: count }), body: [h('ul', { class: 'sources' }, rows)] });
	});
}

const rescan = () =>
	attempt(async () => {
		await post('shares/rescan');
		toast(t('rescan.done'), { kind: 'ok' });
	});

function uploadText(u) {
	if (u.state === 'sending') {
		const rest = u.speed > 0 ? ` · ${speed(u.speed)} · ${left((u.size - u.sent) / u.speed)}` : '';
		return `${t('of', { part: bytes(u.sent), whole: bytes(u.size) })} · ${percentText(percent(u.sent, u.size))}${rest}`;
	}
	if (u.state === 'exists') return t('up.exists');
	if (u.state === 'failed') return u.error.text;
	return `${bytes(u.size)} · ${t(`up.${u.state}`)}`;
}

function uploadRow(first) {
	let one = first;
	const kind = fileIcon(one.name);
	const name = fileName(one.name);
	const meta = metaText();
	const bar = progressBar(t('up.progress', { name: visible(one.name) }));
	const cancel = { id: 'cancel', icon: 'close', label: t('cancel'), run: () => cancelUpload(one) };
	const drop = { id: 'drop', icon: 'close', label: t('up.drop'), run: () => dropUpload(one) };
	const actions = rowActions(
		() => visible(one.name),
		() =>
			({
				exists: [
					{ id: 'keep', label: t('up.keep'), text: true, run: () => retryUpload(one, 'rename') },
					{ id: 'replace', label: t('up.replace'), text: true, run: () => retryUpload(one, 'overwrite') },
					drop,
				],
				failed: [
					one.offer
						? { id: 'use', label: t('up.use', { name: Object.values(one.offer)[0] }), text: true, run: () => retryUpload(one) }
						: { id: 'retry', icon: 'retry', label: t('retry'), run: () => retryUpload(one) },
					drop,
				],
				done: [drop],
			})[one.state] ?? [cancel],
	);
	return {
		el: h('div', { class: 'row up' }, kind, growBox(name, bar.el, meta), actions.el),
		menu: actions.menu,
		update(next) {
			one = next;
			setFileName(name, one.name);
			const p = percent(one.sent, one.size);
			bar.set(p, percentText(p), { failed: 'bad', exists: 'warn', done: 'ok' }[one.state] ?? '');
			setText(meta, uploadText(one));
			actions.update();
		},
	};
}

function uploadPanel() {
	const list = new VirtualList(t('up.title'), { key: (u) => u.id, create: uploadRow, tall: true });
	const title = h('h2', {});
	const cancel = button(t('up.cancelall'), { kind: 'quiet', onclick: cancelUploads });
	const clear = button(t('up.clear'), { kind: 'quiet', onclick: clearUploads });
	const awake = h('p', { class: 'hint awake' }, t('up.awake'));
	const el = h(
		'section',
		{ class: 'card', hidden: true, 'aria-label': t('up.title') },
		h('div', { class: 'card-head' }, title, cancel, clear),
		awake,
		list.el,
	);
	const render = () => {
		const all = state.uploads;
		el.hidden = all.length === 0;
		const open = all.filter((u) => u.state === 'sending' || u.state === 'waiting');
		const rate = open.reduce((sum, u) => sum + u.speed, 0);
		setText(
			title,
			open.length ? `${t('up.n', { n: open.length })}${rate ? ` · ${speed(rate)}` : ''}` : t('up.title'),
		);
		cancel.hidden = !uploading();
		awake.hidden = !touch() || 'wakeLock' in navigator || open.length === 0; // it needs a secure page
		clear.hidden = all.every((u) => u.state === 'sending' || u.state === 'waiting');
		list.set(all);
	};
	return { el, render };
}

/** A real button, for keyboards and screen readers. */
export function chooser({ folder = false } = {}) {
	const input = h('input', {
		type: 'file',
		multiple: true,
		webkitdirectory: folder,
		class: 'offscreen',
		tabindex: '-1',
		'aria-hidden': 'true',
		'data-input': folder ? 'folder' : 'files',
	});
	input.addEventListener('change', () => {
		addUploads(fromInput(input));
		input.value = '';
	});
	return input;
}

/** Nothing can be dropped here: a phone or a tablet. */
const touch = () => matchMedia('(hover: none) and (pointer: coarse)').matches;

const labelOf = (folder) => folder.name ?? folder.path.split('/').filter(Boolean).pop() ?? folder.path;

/** Which of several shared folders gets the uploads. */
function intoChoice() {
	const select = h('select', { id: 'upload-into', onchange: () => (state.into = select.value || null) });
	const el = h('div', { class: 'field', hidden: true }, h('label', { for: 'upload-into' }, t('up.into')), select);
	const render = () => {
		const folders = [...(state.status?.shared_folders ?? [])].sort((a, b) => !!a.name - !!b.name);
		const seen = JSON.stringify(folders.map((f) => [f.name, f.path]));
		el.hidden = folders.length < 2 || state.at !== ''; // the open folder gets them

		if (seen === el.dataset.seen) return;
		el.dataset.seen = seen;
		if (!folders.some((f) => f.name === state.into)) state.into = folders[0]?.name;
		select.replaceChildren(...folders.map((f) => h('option', { value: f.name ?? '' }, labelOf(f))));
		select.value = state.into ?? '';
	};
	on('status', render);
	render();
	return el;
}

/** Where a keyboard cannot paste: on phones. */
async function shareText() {
	const area = h('textarea', { id: 'share-text', rows: 6, dir: 'auto', autofocus: true, required: true });
	const submit = async () => {
		if (area.value.trim()) addUploads([{ file: textFile(area.value), path: '' }]);
	};
	await dialog({
		title: t('text.share'),
		body: [h('label', { for: 'share-text' }, t('text.label')), area],
		actions: [{ label: t('cancel'), value: null }, { label: t('text.go'), value: 'yes', main: true }],
		submit,
	});
}

function dropZone() {
	const files = chooser();
	const folder = chooser({ folder: true });
	const choose = button(t(touch() ? 'choose.phone' : 'choose'), {
		icon: 'plus',
		kind: 'primary',
		onclick: () => files.click(),
		'aria-keyshortcuts': 'u',
		id: 'choose-files',
	});
	const chooseFolder = button(t('choose.folder'), { icon: 'folder', kind: 'choose-folder', onclick: () => folder.click() });
	const text = button(t('text.share'), { icon: 'text', onclick: shareText });
	return h(
		'div',
		{ class: `drop-zone ${touch() ? 'touch' : ''}` },
		h('span', { class: 'drop-icon', 'aria-hidden': 'true' }, icon('share')),
		growBox(h('p', { class: 'drop-title' }, t('drop.title')), hintLine(t('drop.text'))),
		h('div', { class: 'drop-acts' }, choose, chooseFolder, touch() && text, files, folder),
		intoChoice(),
	);
}

const paths = { del: 'shared', restore: 'shared', load: loadShared };

const access = (folder) => attempt(async () => (await later(import('../access.js'))).showAccess(folder.name));

/** Says that a folder is private. */
function privacy(folder) {
	const rule = ruleOf(folder.name);
	if (!rule || rule.everyone) return '';
	return rule.peers.length ? t('acc.n', { n: rule.peers.length }) : t('acc.only');
}

/** The shared files, as folders. */
function sharedShelf() {
	const many = manyActions('shared', () => state.shared.files, paths);
	const send = (one) => ({ id: 'send', icon: 'share', label: t('send'), run: () => many.send([one]) });
	return new Shelf({
		of: 'shared',
		label: t('share'),
		root: t('share'),
		go: goTo('share'),
		open: (file, list) => openFile('shared', file.name, list),
		actions: (one) =>
			one.folder
				? [
						send(one),
						...many.folder(one).slice(0, 1),
						...(isOwner()
							? [
									{ id: 'access', icon: 'lock', label: t('acc'), run: () => access(one) },
									{ id: 'rewind', icon: 'clock', label: t('rew'), run: () => goBack(one) },
								]
							: []),
						...many.folder(one).slice(1),
					]
				: [
						send(one),
						{ id: 'link', icon: 'link', label: t('link'), run: () => shareLink(one) },
						saveAction('shared', () => one.name),
						{ id: 'rename', icon: 'edit', label: t('rename'), run: () => rename(one) },
						{ id: 'history', icon: 'clock', label: t('hist'), run: () => showHistory(one) },
						{ id: 'delete', icon: 'trash', label: t('delete'), danger: true, run: () => remove(one) },
					],
		chosen: many.chosen,
		remove: (entries) => (entries.length === 1 && !entries[0].folder ? remove(entries[0]) : many.remove(entries)),
		rename,
		note: privacy,
		describe: (f) => [bytes(f.size), f.state === 'ready' ? ago(f.mtime) : stateText(f)].join(' · '),
	});
}

export function shareView() {
	const head = viewHead(
		t('share'),
		button(t('hist.list'), { icon: 'trash', onclick: showDeleted }),
		button(t('rescan'), { icon: 'retry', onclick: rescan }),
	);
	const notices = h('div', { class: 'notices' });
	const steps = h('section', { class: 'card', hidden: true });
	const uploads = uploadPanel();
	const shelf = sharedShelf();
	const nothing = empty('share', t('share.empty'), t('share.empty.text'));
	const card = h('section', { class: 'card', 'aria-label': t('share') }, shelf.el, nothing);
	const el = h(
		'div',
		{ class: 'view' },
		head.el,
		notices,
		steps,
		dropZone(),
		uploads.el,
		card,
	);

	const render = (fresh = false) => {
		const { count, totalSize, loaded } = state.shared;
		head.say(loaded ? `${t('n.files', { n: count })} · ${bytes(totalSize)}` : loadingText());
		card.hidden = !loaded;
		shelf.set(state.shared.files, { fresh: fresh === true, loaded });
		state.at = shelf.at;
		nothing.hidden = !loaded || count > 0;
	};
	const renderNotice = () => {
		const { peer_running: runs, port, problems_count: n, unlisted_files: unlisted, copy_at: copy } = state.status ?? {};
		const folders = (state.status?.shared_folders ?? []).map((f) => [f.path, f.state, f.missing_files, f.away_disks]);
		const seen = JSON.stringify([runs, port, n, unlisted, folders, copy]);
		if (seen === notices.dataset.seen) return; // a button keeps its focus
		notices.dataset.seen = seen;
		const off = runs === false && [para(t('peer.off.text')), command(ownPeer())];
		notices.replaceChildren(
			...awayNotices('shared'),
			off ? notice(t('peer.off'), off) : '',
			copy ? notice(t('clone'), para(t('clone.text', { where: copy }))) : '',
			n ? notice(t('problems', { n }), button(t('show'), { onclick: showProblems })) : '',
			unlisted ? notice(t('unlisted', { n: unlisted })) : '',
		);
	};
	/** On the first visit, while nothing is shared or nobody else is here. */
	const offerSteps = async () => {
		const { shared_files_count: count } = state.status ?? {};
		if (!isOwner() || !state.peers.loaded || load('p2p.steps') === 'off') return;
		stop();
		if (count > 0 && state.peers.list.some((p) => !p.self)) return;
		const choose = () => el.querySelector('[data-input=files]').click();
		attempt(async () => (await later(import('../steps.js'))).showSteps(steps, choose));
	};
	const stop = on('status peers', offerSteps);
	on('shared connection', () => render());
	on('uploads', uploads.render);
	on('status', renderNotice);
	uploads.render();
	renderNotice();
	render();
	return {
		el,
		show: () => {
			render(true);
			if (isOwner()) loadGrants().catch(() => {}); // marks private folders
			return state.shared.loaded ? null : attempt(loadShared);
		},
		open: async (query) => {
			shelf.show(query.get('at') ?? '');
			state.at = shelf.at;
			changed('status');
			if (!query.get('open')) return;
			if (!state.shared.loaded) await attempt(loadShared);
			openNamed('shared', query.get('open'), state.shared.files);
		},
		every: RETRY_MS,
		tick: () => state.shared.loaded || loadShared().catch(() => {}),
	};
}

/** The page of a shared link. */
export async function openSharedLink(name) {
	await attempt(async () => {
		if (!state.shared.loaded) await loadShared();
		const file = state.shared.files.find((f) => f.name === name);
		if (!file) {
			toast(t('link.gone', { name: visible(name) }), { kind: 'error' });
			return;
		}
		const go = await dialog({
			title: visible(file.name),
			body: [para(bytes(file.size))],
			actions: [{ label: t('cancel'), value: null }, { label: t('save'), value: 'yes', main: true }],
		});
		if (go) await save('shared', file.name);
	});
}
