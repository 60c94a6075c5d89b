// Upload page.
import './upload-progress.ts';
