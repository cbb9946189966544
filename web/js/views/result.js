import { button, fileIcon, fileName, folderOf, growBox, grow, h, item, metaText, setAttr, setFileIcon, setFileName, setText, visible } from '../dom.js';
import { bytes, left, percent, percentText, speed } from '../format.js';
import { t } from '../i18n.js';
import { RANKS, RUNNING, fetchFile, statusText, transferOf } from '../transfers.js';
import { badge, called, confirm, progressBar } from '../ui.js';

/** Tells whether this content is here already; else ''. */
function here(result, transfer) {
	if (transfer && RUNNING.has(transfer.state)) {
		const p = percent(transfer.received, transfer.size);
		const rest = transfer.eta_s === null ? '' : ` · ${left(transfer.eta_s)}`;
		return transfer.state === 'downloading'
			? `${percentText(p)} · ${speed(transfer.speed)}${rest}`
			: statusText(transfer);
	}
	if (transfer && ['queued', 'paused', 'failed', 'completed'].includes(transfer.state))
		return statusText(transfer);
	return result.have ? t(`have.${result.have}`) : '';
}

function sourceRow(result, source) {
	const id = called(source);
	return item(grow(h('span', { class: source.name ? '' : 'mono', title: source.peer_id_full }, id),
			metaText(h('bdi', {}, `${source.ip}:${source.port}`)),
		),
		!source.self && badge(source.trust === 'trusted' ? 'ok' : '', t(`trust.${RANKS[source.trust]}`)),
		source.self
			? badge('', t('self'))
			: button(t('get.from', { peer: id }), {
					icon: 'download',
					bare: true,
					onclick: () => fetchFile({ ...result, peers: [source] }),
				}),
	);
}

function sourcesPart(first) {
	const id = `s${Math.random().toString(36).slice(2)}`;
	const list = h('ul', { class: 'sources', id, hidden: true, 'aria-label': t('sources') });
	const toggle = button(t('sources.of', { name: visible(first.name) }), {
		icon: 'chevron',
		bare: true,
		kind: 'toggle',
		'aria-expanded': 'false',
		'aria-controls': id,
		onclick: () => {
			list.hidden = !list.hidden;
			setAttr(toggle, 'aria-expanded', String(!list.hidden));
		},
	});
	let drawn = null;
	const update = (result) => {
		if (drawn !== result.sources) list.replaceChildren(...result.sources.map((s) => sourceRow(result, s)));
		drawn = result.sources;
	};
	return { list, toggle, update };
}

/** The button and the progress of its transfer. */
function progressPart(first, run) {
	const text = h('span', { class: 'meta strong' });
	const bar = progressBar(t('progress.of', { name: visible(first.name) }));
	let again = false;
	const onclick = async () => {
		if (start.getAttribute('aria-disabled')) return;
		if (!again || (await confirm(t('again.title', { name: visible(last.name) }), t('again.text'), t('get.again')))) run();
	};
	let last = first;
	const start = button(t('get'), { icon: 'download', kind: 'soft', onclick });
	const update = (result, others) => {
		const transfer = transferOf(result);
		const running = transfer && RUNNING.has(transfer.state);
		setText(text, here(result, transfer));
		bar.el.hidden = !running;
		if (running) {
			const p = percent(transfer.received, transfer.size);
			bar.set(p, percentText(p), transfer.state === 'verifying' ? 'busy' : '');
		}
		last = result;
		again = transfer?.state === 'completed' || result.have !== null;
		setText(start.lastChild, t(again ? 'get.again' : 'get'));
		start.classList.toggle('plain', again);
		start.hidden = others === 0;
		// Not "disabled": it would lose the focus.
		setAttr(start, 'aria-disabled', running || transfer?.state === 'queued' ? 'true' : null);
		setAttr(start, 'aria-label', `${t(again ? 'get.again' : 'get')}: ${visible(result.name)}`);
	};
	return { text, bar: bar.el, start, update };
}

function facts(result, others) {
	const size = result.size === null ? null : bytes(result.size);
	const who = others ? t('n.sources', { n: others }) : t('only.here');
	return [size, who, folderOf(result.name)].filter(Boolean).join(' · ');
}

export function resultRow(first) {
	let result = first;
	const kind = fileIcon(result.name);
	const name = fileName(result.name);
	const meta = metaText();
	const progress = progressPart(first, () => fetchFile(result));
	const sources = sourcesPart(first);
	const lines = [[name], [meta, progress.text]].map((line) => h('div', { class: 'line' }, line));
	const text = growBox(lines, progress.bar);
	const top = h('div', { class: 'row-main' }, kind, text, progress.start, sources.toggle);
	const update = (next) => {
		result = next;
		const others = result.sources.filter((s) => !s.self).length;
		setFileName(name, result.name);
		setFileIcon(kind, result.name);
		setText(meta, facts(result, others));
		progress.update(result, others);
		sources.update(result);
	};
	const menu = () => {
		const others = result.sources.filter((s) => !s.self);
		const one = (label, run) => ({ icon: 'download', label, run });
		return [
			...(progress.start.hidden ? [] : [one(progress.start.textContent, () => progress.start.click())]),
			...(others.length > 1 ? others.map((s) => one(t('get.from', { peer: called(s) }), () => fetchFile({ ...result, peers: [s] }))) : []),
		];
	};
	return { el: h('div', { class: 'row tall' }, top, sources.list), menu, update };
}
