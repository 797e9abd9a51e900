document.querySelector('#menu')?.addEventListener('click', () => document.body.classList.toggle('open'));
