// Watch and embed pages.
import './pod-player.ts';
import './rating-form.ts';
import './swarm-panel.ts';
