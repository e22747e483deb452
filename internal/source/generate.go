package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// WriteUsers writes n users, numbered from 0, as JSON Lines:
//
//	{"uuid":"…","fn":"Ada","ln":"Lovelace","friends":["…","…"]}
//
// User i depends on seed and i alone, so a longer run begins with the bytes of a shorter one. A user's 0 to 8 friends
// are users with smaller numbers. It returns the writer's error, or that of ctx.
func WriteUsers(ctx context.Context, w io.Writer, n int, seed uint64) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for i := range uint64(max(n, 0)) {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line = appendUser(line[:0], seed, i)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write users: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	return nil
}

const maxFriends = 8

func appendUser(dst []byte, seed, i uint64) []byte {
	dice := random{state: mix(seed) ^ mix(^i)}
	people := &names[min(dice.below(len(names)), dice.below(len(names)))] // earlier groups are more frequent
	dst = appendUUID(append(dst, `{"uuid":"`...), seed, i)
	dst = append(append(dst, `","fn":"`...), people.first[dice.below(len(people.first))]...)
	dst = append(append(dst, `","ln":"`...), people.last[dice.below(len(people.last))]...)
	dst = append(dst, `","friends":[`...)
	var chosen [maxFriends]uint64
	count := 0
	for range min(uint64(dice.below(maxFriends+1)), i) {
		friend := dice.next() % i
		if slices.Contains(chosen[:count], friend) {
			continue // one friend fewer
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendUUID(append(dst, '"'), seed, friend), '"')
		chosen[count] = friend
		count++
	}
	return append(dst, "]}\n"...)
}

// appendUUID appends the UUID of user i, of version 4 (random). mix is a bijection, so two users of a seed share a UUID
// only if they agree in 60 bits of one number and 62 of another.
func appendUUID(dst []byte, seed, i uint64) []byte {
	high := mix(mix(seed)+i)&^0xf000 | 0x4000
	low := mix(mix(^seed)+i)&^(3<<62) | 2<<62
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], high)
	binary.BigEndian.PutUint64(raw[8:], low)
	return appendHex(dst, raw[:])
}

// appendHex appends the 16 bytes of a UUID as hexadecimal digits with hyphens.
func appendHex(dst, raw []byte) []byte {
	dst = append(hex.AppendEncode(dst, raw[:4]), '-')
	dst = append(hex.AppendEncode(dst, raw[4:6]), '-')
	dst = append(hex.AppendEncode(dst, raw[6:8]), '-')
	dst = append(hex.AppendEncode(dst, raw[8:10]), '-')
	return hex.AppendEncode(dst, raw[10:])
}

// random is SplitMix64 (Steele, Lea, Flood 2014). It is small and never changes, unlike the generators of the standard
// library.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

// below returns a number from 0 to n-1.
func (r *random) below(n int) int {
	high, _ := bits.Mul64(r.next(), uint64(n))
	return int(high)
}

// mix is SplitMix64's finalizer, a bijection. Flipping a bit of x flips about half of the result's bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// names are first and last names from the same language. None needs an escape in JSON. Changing them changes the users
// of every seed.
var names = [...]struct{ first, last []string }{
	{
		[]string{"Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "John", "Katherine", "Ken", "Margaret", "Radia", "Rob", "Tony"},
		[]string{"Allen", "Hamilton", "Hoare", "Hopper", "Johnson", "Liskov", "Lovelace", "McCarthy", "O'Neil", "Perlman", "Ritchie", "Thompson", "Turing"},
	},
	{
		[]string{"Anneli", "Björn", "Françoise", "José", "Jürgen", "Łucja", "Søren", "Zoë", "Þóra"},
		[]string{"Åkesson", "García Márquez", "Lindström", "Müller-Lüdenscheidt", "Núñez", "Şahin", "Virtanen"},
	},
	{[]string{"さくら", "健", "美咲"}, []string{"佐藤", "山田", "鈴木"}},
	{[]string{"Андрей", "Вера", "Ольга"}, []string{"Коваленко", "Черных", "Шевченко"}},
	{[]string{"伟", "小明", "秀英"}, []string{"李", "欧阳", "王"}},
	{[]string{"فاطمة", "محمد", "مريم"}, []string{"الخوارزمي", "الفهري", "ميرزاخاني"}},
	{[]string{"अनन्या", "रमेश"}, []string{"कुमार", "शर्मा"}},
	{[]string{"Ελένη", "Κωνσταντίνος"}, []string{"Γεωργίου", "Παπαδημητρίου"}},
	{[]string{"Chinonso", "Wangari"}, []string{"Maathai", "Okeke"}},
	{[]string{"Thị Mai", "Văn Nam"}, []string{"Nguyễn", "Trần"}},
	{[]string{"ชัย", "มาลี"}, []string{"ทองดี", "สุขใจ"}},
}
