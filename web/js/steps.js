// The first visit: three steps that nobody has to take. Each says when it is done; after all, or after "Hide", they
// do not come again.
import { api, get } from './api.js';
import { button, h, hintLine, icon, setText, visible } from './dom.js';
import { later, load, save, t } from './i18n.js';
import { on, state } from './store.js';
import { attempt, toast } from './ui.js';

const HIDDEN = 'p2p.steps';
const NAMED = 'p2p.steps.name';

/** `choose`: opens the list of files of this browser. */
export function showSteps(el, choose) {
	let devices = 0;
	const input = h('input', { type: 'text', id: 'steps-name', maxlength: 63, autocomplete: 'off', dir: 'auto', 'aria-label': t('steps.name'), value: state.status?.name ?? '' });
	const keep = (event) => {
		event.preventDefault();
		attempt(async () => {
			if (input.value.trim()) state.config = await api('PATCH', 'config', { name: input.value.trim() });
			save(NAMED, 'yes');
			toast(t('saved'), { kind: 'ok' });
			render();
		});
	};
	const pair = () => attempt(async () => (await later(import('./views/settings.js'))).pairDevice());
	const step = (key, control) => {
		const mark = h('span', { class: 'step-mark', 'aria-hidden': 'true' });
		const done = h('span', { class: 'offscreen' });
		const text = hintLine();
		const row = h('li', { class: 'step' }, mark, h('div', { class: 'grow' }, h('h3', {}, t(key)), done, text, control));
		return { row, mark, done, text, control };
	};
	const steps = [
		step('steps.name', h('form', { class: 'step-form', onsubmit: keep }, input, button(t('acc.save'), { type: 'submit' }))),
		step('steps.files', button(t('choose'), { icon: 'plus', onclick: choose })),
		step('steps.device', button(t('pair.device'), { icon: 'device', onclick: pair })),
	];
	const end = () => {
		save(HIDDEN, 'off');
		el.replaceChildren();
		el.hidden = true;
		stops.forEach((stop) => stop());
	};
	const render = () => {
		const s = state.status ?? {};
		const there = [load(NAMED) === 'yes', s.shared_files_count > 0, devices > 0 || state.peers.list.some((p) => !p.self)];
		const texts = [t('steps.name.text'), t('steps.files.text', { folder: visible(s.shared_dir ?? '') }), t('steps.device.text')];
		steps.forEach(({ row, mark, done, text, control }, i) => {
			row.classList.toggle('done', there[i]);
			mark.replaceChildren(there[i] ? icon('check') : String(i + 1));
			setText(done, there[i] ? t('steps.done') : '');
			setText(text, texts[i]);
			control.hidden = text.hidden = there[i];
		});
		if (there.every(Boolean)) end();
	};
	const look = async () => {
		devices = (await get('devices').catch(() => ({ devices: [] }))).devices.filter((d) => !d.current && d.kind !== 'owner').length;
		render();
	};
	const stops = [on('status peers shared', render), on('devices', look)];
	el.replaceChildren(h('div', { class: 'card-head' }, h('h2', {}, t('steps')), button(t('steps.hide'), { icon: 'close', bare: true, onclick: end })), h('ol', { class: 'steps' }, steps.map((one) => one.row)));
	el.setAttribute('aria-label', t('steps'));
	el.hidden = false;
	look();
}
