from erp.sales.every import kept


@kept("sales", "by_star")
def by_star(): ...
