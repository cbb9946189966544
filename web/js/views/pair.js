// What a device that is not paired yet sees instead of the dashboard: the field for the six digits.
import { post } from '../api.js';
import { button, h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';

/** Resolves when the device is paired. A code that came with the link (#pair=123456) is tried at once. */
export function pairScreen(app) {
	return new Promise((resolve) => {
		const given = /^#pair=(\d{6})$/.exec(location.hash)?.[1];
		const code = h('input', {
			id: 'pair-code',
			class: 'code-field',
			inputmode: 'numeric',
			autocomplete: 'one-time-code',
			maxlength: 7,
			dir: 'ltr',
			required: true,
			'aria-describedby': 'pair-problem',
		});
		const name = h('input', {
			id: 'pair-name',
			type: 'text',
			maxlength: 64,
			dir: 'auto',
			autocomplete: 'off',
			placeholder: t('pair.name.hint'),
		});
		const problem = h('p', { class: 'why', id: 'pair-problem', role: 'alert' });
		const submit = button(t('pair'), { kind: 'primary wide', type: 'submit' });
		const send = async () => {
			const digits = code.value.replace(/\D/g, '');
			if (digits.length !== 6) {
				setText(problem, t('pair.six'));
				return;
			}
			submit.disabled = true;
			try {
				await post('pair', name.value.trim() ? { code: digits, name: name.value.trim() } : { code: digits });
				resolve();
			} catch (error) {
				setText(
					problem,
					error.code === 'too_many'
						? t('pair.wait', { n: Math.ceil((error.retryAfter || 900) / 60) })
						: error.text,
				);
				code.select();
			}
			submit.disabled = false;
		};
		code.addEventListener('input', () => {
			if (code.value.replace(/\D/g, '').length === 6 && !name.value) send();
		});
		app.replaceChildren(
			h(
				'main',
				{ class: 'gate' },
				h(
					'form',
					{
						class: 'card pad',
						onsubmit: (e) => {
							e.preventDefault();
							send();
						},
					},
					h('span', { class: 'brand-mark' }, icon('device')),
					h('h1', {}, t('pair.title')),
					h('p', {}, t('pair.how')),
					h('label', { for: 'pair-code' }, t('pair.code')),
					code,
					problem,
					h('label', { for: 'pair-name' }, t('pair.name')),
					name,
					submit,
				),
			),
		);
		code.focus();
		if (!given) return;
		history.replaceState(null, '', location.pathname);
		code.value = given;
		send();
	});
}
