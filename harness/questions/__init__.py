"""Questions for graded replies: where they come from, how they are asked, and how a judge is asked about them."""
