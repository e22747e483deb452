package fetcher

const (
	// failingShare is the share of failed objects from which on it is no use to
	// ask for more mappers.
	failingShare = 0.5
)

// outcomes is how the last chunks went, oldest first, whoever had them.
type outcomes []result

func (o *outcomes) add(r result) {
	if *o = append(*o, r); len(*o) > recentOutcomes {
		*o = (*o)[1:]
	}
}

// failed is the share of failed objects.
func (o outcomes) failed() float64 {
	var all result
	for _, r := range o {
		all.objects, all.dead = all.objects+r.objects, all.dead+r.dead
	}
	if all.objects == 0 {
		return 0
	}
	return float64(all.dead) / float64(all.objects)
}

// failing says whether most of what mappers do fails.
func (o outcomes) failing() bool { return len(o) >= leastOutcomes && o.failed() >= failingShare }
