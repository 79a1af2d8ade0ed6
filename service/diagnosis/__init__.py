"""Which trials overfit, underfit or diverged, by one stated rule, and what to change next.

The rule looks at the train and the validation curve of one metric: that of the first objective when it has both
(`validation_accuracy` and `train_accuracy`), else of the loss, else of the accuracy. Both are turned so that larger is
better. Only epochs that have both values count, and a trial that still runs is judged by what it has reported.

* span: largest minus smallest value of both curves.
* tolerance: 2 % of the span, or 3 standard deviations of the validation curve's own noise (from its second
  differences) if that is more.
* peak: the first epoch whose validation value is within the tolerance of the trial's best one.
* end: the mean of the last 3 epochs, of those after the peak.
* gap: train minus validation. fall: the best validation value minus that at the end.

A trial is, by the first line that holds,

1. diverged, when a value of its curves is not finite (or beyond ±1e100), or it failed because a metric was not;
2. unclear, when there are no such curves, or fewer than 3 epochs of them;
3. diverged, when training ended worse than its first epoch, by more than the tolerance;
4. underfitting, when its best train value and its best validation value are both low: worse than the best validation
   value that any trial of the study had by the same epoch, by more than a quarter of the way there from where trials
   start (the worse quartile of the validation values after the first epoch);
5. overfitting, when validation fell by more than the tolerance over 2 epochs or more since its best one, while the gap
   grew by more than the tolerance; or when it did not fall, but stood still for 2 epochs or more since the peak, with a
   gap of more than the tolerance and 20 % of the span at the end;
6. healthy.

Multiplying a metric by a positive number, or adding one to it, changes no verdict.
"""
