"""The wizard without a screen: what is asked, in which order, with which defaults and why. Front ends only draw it."""
