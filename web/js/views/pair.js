// The page of an unpaired browser.
import { post } from '../api.js';
import { button, h, hintLine, icon, para, setText } from '../dom.js';
import { t } from '../i18n.js';
import { command } from '../ui.js';

const codeField = () =>
	h('input', {
		id: 'pair-code',
		class: 'code-field',
		inputmode: 'numeric',
		autocomplete: 'one-time-code',
		maxlength: 15,
		dir: 'ltr',
		required: true,
		'aria-describedby': 'pair-problem',
	});

const digitsOf = (input) => input.value.replace(/\D/g, '');
const isWhole = (input) => [6, 12].includes(digitsOf(input).length);

function refusal(error) {
	if (error.code !== 'too_many') return error.text;
	return t('pair.wait', { n: Math.ceil((error.retryAfter || 900) / 60) });
}

function pairForm(paired) {
	const code = codeField();
	const problem = h('p', { class: 'why', id: 'pair-problem', role: 'alert' });
	let busy = false;
	const send = async () => {
		if (!isWhole(code)) return setText(problem, t('pair.six'));
		if (busy) return;
		busy = true;
		const digits = digitsOf(code);
		try {
			await post('pair', { code: digits });
			paired();
		} catch (error) {
			setText(problem, refusal(error));
			if (error.code !== 'long_code') code.select();
		}
		busy = false;
		if (isWhole(code) && digitsOf(code) !== digits) send(); // typed meanwhile
	};
	const onsubmit = (event) => {
		event.preventDefault();
		send();
	};
	code.addEventListener('input', () => isWhole(code) && send());
	const el = h('form', { class: 'card pad', onsubmit }, [
		h('span', { class: 'brand-mark' }, icon('device')),
		h('h1', {}, t('pair.title')),
		para(t('pair.how')),
		h('label', { for: 'pair-code' }, t('pair.code')),
		code,
		problem,
		button(t('pair'), { kind: 'primary wide', type: 'submit' }),
		hintLine(t('pair.owner')),
		command('p2p ui'),
	]);
	return { el, code, send };
}

/** Resolves when paired. Tries a code in the link (#pair=123456) at once. */
export function pairScreen(app) {
	return new Promise((resolve) => {
		const given = /^#pair=(\d+)$/.exec(location.hash)?.[1];
		const form = pairForm(resolve);
		app.replaceChildren(h('main', { class: 'gate' }, form.el));
		form.code.focus();
		if (!given) return;
		history.replaceState(null, '', location.pathname);
		form.code.value = given;
		form.send();
	});
}
