"""What MLflow holds beside spans, derived from them: experiments, assessments, attached files."""
