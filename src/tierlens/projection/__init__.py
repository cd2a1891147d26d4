"""What MLflow holds beside spans, derived from them: experiments, costs, assessments, attached files."""
