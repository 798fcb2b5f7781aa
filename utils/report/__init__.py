"""Report and model card of an evaluation.

write            the interface: every file of an evaluation, and the model card
pages            report as HTML and Markdown, from the templates in templates/report/
card             model card as Markdown, from its template
training_record  what the sidecar records of the training, and its command line
tables           tables of the report, as texts
plots            confusion matrix, ROC, precision-recall and reliability curves
samples          radiographs of the surest right and wrong answers with their maps
format           figures with intervals, counts by reason, Markdown
"""
